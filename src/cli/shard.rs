//! `--shard` and `--run-id`: one machine's part of a run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::Sink;
use super::{CommandError, connections, output};
use crate::plan::mark::MarkError;
use crate::plan::settings::Settings;
use crate::plan::shard::{Shard, ShardError};
use crate::plan::{Plan, Snapshot, quantity};

/// Where Kubernetes says which of an indexed Job's pods this is.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// The longest name of a run.
const MOST_CHARACTERS: usize = 253;

/// Which part of which run this is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct ShardArgs {
    /// Measure one of N parts of the run, counted from 0, for lbtest merge to judge; N alone takes I from `JOB_COMPLETION_INDEX`
    #[arg(
        long,
        value_name = "I/N",
        long_help = "Measure one of N parts of the run, counted from 0, for `lbtest merge` to judge. \
            N alone (or auto/N) takes I from JOB_COMPLETION_INDEX, which an indexed Job sets. \
            --requests and --rate are those of the whole run, and every shard takes its part; \
            --concurrency, --duration and --max-duration are those of each shard"
    )]
    shard: Option<String>,
    /// Name of the run; shards merge only with those of the same run
    #[arg(long, value_name = "ID", env = "LBTEST_RUN_ID", value_parser = run_id)]
    run_id: Option<String>,
    /// Save what was measured so far every PERIOD (default: 1m), so that lbtest merge can judge a run that was killed
    #[arg(long, value_name = "FILE[,PERIOD]", value_parser = snapshot)]
    snapshot: Option<(PathBuf, Duration)>,
    /// Run twice, over fresh connections and over kept ones, and tell whether a connection keeps its pod
    #[arg(long, help_heading = "Connection")]
    compare_connections: bool,
}

impl ShardArgs {
    /// The plan of this part, or of the whole.
    pub(super) fn plan(&self, settings: &Settings) -> Result<Plan, CommandError> {
        if settings.wants_marks() {
            return self.plan_marked(settings);
        }
        let index = std::env::var(INDEX).ok();
        let mut plan = if let Some(text) = &self.shard {
            let shard = Shard::parse(text, index.as_deref()).map_err(CommandError::usage)?;
            settings.plan_shard(shard).map_err(CommandError::usage)?
        } else {
            if index.is_some() {
                output::warn(&format!(
                    "{INDEX} is set, but --shard is not: this is a whole run of its own"
                ));
            }
            settings.plan()?
        };
        // Shards that were given no name of their run share that of their settings.
        let common = plan.shard.as_ref();
        let common = common.map(|sharding| format!("unnamed-{}", sharding.digest));
        plan.run_id = self.run_id.clone().or(common);
        plan.snapshot = self.snapshot(settings, &plan)?;
        self.comparing(plan)
    }

    /// The plan of the run of this name, to be tried over both kinds of connections where that is asked for.
    pub(super) fn comparing(&self, mut plan: Plan) -> Result<Plan, CommandError> {
        plan.run_id = self.run_id.clone().or(plan.run_id);
        plan.compares_connections = self.compare_connections;
        if plan.compares_connections {
            connections::check(&plan)?;
        }
        Ok(plan)
    }

    /// The plan of a run that the pods' logs will judge.
    fn plan_marked(&self, settings: &Settings) -> Result<Plan, CommandError> {
        let unknown = [
            ("--shard", self.shard.is_some()),
            ("--snapshot", self.snapshot.is_some()),
            ("--compare-connections", self.compare_connections),
        ];
        if let Some((flag, _)) = unknown.into_iter().find(|&(_, is_given)| is_given) {
            return Err(CommandError::usage(MarkError::Unknown(flag)));
        }
        let mut plan = settings.plan_marked().map_err(CommandError::usage)?;
        plan.run_id = self.run_id.clone().or(plan.run_id);
        Ok(plan)
    }

    /// A part, or what a file holds, is that of a single run.
    pub(super) fn refuse_checks(&self) -> Result<(), CommandError> {
        let flag = match (&self.shard, &self.snapshot) {
            (Some(_), _) => "--shard",
            (None, Some(_)) => "--snapshot",
            (None, None) => return Ok(()),
        };
        Err(CommandError::usage(format!(
            "{flag} is for a single run, and the configuration holds checks: give --expect"
        )))
    }

    /// Where the run writes down what it has measured; a file that can't be written is told before load is sent.
    fn snapshot(&self, settings: &Settings, plan: &Plan) -> Result<Option<Snapshot>, CommandError> {
        let Some((path, period)) = &self.snapshot else {
            return Ok(None);
        };
        let refused = |error| CommandError::usage(format!("--snapshot: {error}"));
        let only = || Shard::new(0, 1).and_then(|shard| settings.plan_shard(shard));
        let sharding = match &plan.shard {
            Some(sharding) => sharding.clone(),
            None => only()
                .map_err(refused)?
                .shard
                .ok_or_else(|| refused(ShardError::Sequential))?,
        };
        drop(Sink::open_report("--snapshot", Some(path))?);
        let unnamed = || format!("unnamed-{}", sharding.digest);
        Ok(Some(Snapshot {
            path: path.clone(),
            period: *period,
            run_id: plan.run_id.clone().unwrap_or_else(unnamed),
            sharding,
        }))
    }
}

fn run_id(text: &str) -> Result<String, String> {
    let is_name = !text.trim().is_empty()
        && text.chars().count() <= MOST_CHARACTERS
        && !text.chars().any(char::is_control);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| format!("not a name of 1 to {MOST_CHARACTERS} printable characters"))
}

/// How often a snapshot is written where nobody says it.
const PERIOD: Duration = Duration::from_mins(1);

fn snapshot(text: &str) -> Result<(PathBuf, Duration), String> {
    let period = |(path, period)| Some((path, quantity::duration(period).ok()?));
    let (path, period) = text
        .rsplit_once(',')
        .and_then(period)
        .unwrap_or((text, PERIOD));
    if path.is_empty() || path == "-" {
        return Err("name a file: it is replaced every period".to_owned());
    }
    Ok((PathBuf::from(path), period))
}
