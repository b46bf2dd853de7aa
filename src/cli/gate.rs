//! The gate, the default command: arguments → plan → load → verdict → report.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::HOST;

use super::output::Outputs;
use super::value::{self, ColorArg, JudgeArg};
use super::{CommandError, output};
use crate::exit::ExitStatus;
use crate::identity::assignment::Mappings;
use crate::identity::rule::Rules;
use crate::load;
use crate::plan::pace::Rate;
use crate::plan::{Budget, ConnectionUse, Criterion, Limit, LoadShape, Plan, quantity, target};
use crate::report::Report;
use crate::split::Split;
use crate::tally::monitor::cap_of;
use crate::tally::pods::PodRegistry;
use crate::verdict::words;

/// What the expected split is and what the verdict promises; shared by every command that judges.
#[derive(Debug, Clone, Args)]
pub(super) struct CriterionArgs {
    /// Expected weights of the backends; 0 means "must get nothing"
    #[arg(long, value_name = "v1=70,v2=30")]
    pub expect: Option<String>,
    /// Promised error rate: a correct split fails, and one off by the tolerance passes, at most this often
    #[arg(long, value_name = "RATE", default_value = "0.001")]
    pub alpha: f64,
    /// The smallest shift, in percentage points, that a PASS rules out
    #[arg(long, value_name = "PP", default_value = "5", value_parser = quantity::percentage_points)]
    pub tolerance: f64,
    /// What PASS claims
    #[arg(long, value_enum, default_value = "equivalence")]
    pub judge: JudgeArg,
    /// Responses without an identity, in percent, beyond which a run cannot pass
    #[arg(long, value_name = "PCT", default_value = "1%", value_parser = quantity::percentage)]
    pub max_unattributed: f64,
    /// Which workload (name or glob) is which backend; repeatable
    #[arg(long, value_name = "LABEL=WORKLOAD")]
    pub backend: Vec<String>,
    /// Seed of Monte Carlo and permutations (and, in demo, of the ingress)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

impl CriterionArgs {
    /// The expected split, with a warning when its weights are relative.
    pub(super) fn split(&self) -> Result<Split, CommandError> {
        let Some(text) = &self.expect else {
            return Err(CommandError::usage(
                "--expect is missing: say which split is expected, for example --expect v1=70,v2=30",
            ));
        };
        let split: Split = text
            .parse()
            .map_err(|error| CommandError::usage(format!("--expect: {error}")))?;
        if split.is_relative() {
            let shares = words::shares(&split);
            output::warn(&format!(
                "the weights of --expect sum to neither 1 nor 100; taken as {shares}"
            ));
        }
        Ok(split)
    }

    pub(super) fn criterion(&self, split: &Split) -> Result<Criterion, CommandError> {
        Criterion::new(
            split,
            self.alpha,
            self.tolerance,
            self.judge.into(),
            self.max_unattributed,
        )
        .map_err(CommandError::usage)
    }

    pub(super) fn mappings(&self, split: &Split) -> Result<Mappings, CommandError> {
        Mappings::parse(split.labels(), &self.backend).map_err(CommandError::usage)
    }
}

/// Where reports go and how the terminal is used; shared by every command that reports.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// When to colour
    #[arg(long, value_enum, default_value = "auto")]
    pub color: ColorArg,
    /// No progress display
    #[arg(long)]
    pub no_progress: bool,
}

/// What is sent, and how; shared by the gate and demo.
#[derive(Debug, Clone, Args)]
pub(super) struct LoadArgs {
    /// Host header (default: the URL's authority)
    #[arg(long, value_name = "NAME", env = "LBTEST_HOST")]
    pub host: Option<String>,
    /// Requests that must be attributed, such as 500, 10k or 1m (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = value::count)]
    pub requests: Option<NonZeroU64>,
    /// Run for this long
    #[arg(short = 'z', long, value_name = "D", value_parser = value::duration)]
    pub duration: Option<Duration>,
    /// Give up after this long; a run cut short cannot pass
    #[arg(long, value_name = "D", default_value = "10m", value_parser = value::duration)]
    pub max_duration: Duration,
    /// Requests in flight at once
    #[arg(short = 'c', long, value_name = "N", default_value = "50", value_parser = value::small_count)]
    pub concurrency: NonZeroUsize,
    /// Client threads (default: one a core)
    #[arg(long, value_name = "N", value_parser = value::small_count)]
    pub threads: Option<NonZeroUsize>,
    /// Open-loop pace of the whole run, such as 500/s or 175/m (default: as fast as responses come)
    #[arg(short = 'q', long, value_name = "R")]
    pub rate: Option<Rate>,
    /// Requests a connection carries; 1 gives independent draws behind any balancer
    #[arg(long, value_name = "K", default_value = "1", value_parser = value::count)]
    pub requests_per_connection: NonZeroU64,
    /// No limit on the requests of a connection
    #[arg(long, conflicts_with = "requests_per_connection")]
    pub keep_alive: bool,
    /// Time allowed for one exchange
    #[arg(short = 't', long, value_name = "D", default_value = "10s", value_parser = value::duration)]
    pub timeout: Duration,
    /// Time allowed for one dial
    #[arg(long, value_name = "D", default_value = "3s", value_parser = value::duration)]
    pub connect_timeout: Duration,
    /// A further header; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Method
    #[arg(short = 'm', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// Body
    #[arg(short = 'd', long = "data", value_name = "TEXT")]
    pub data: Option<String>,
    /// How much of a response is read to identify the pod
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = value::bytes)]
    pub max_body: usize,
    /// A backend's 99th latency percentile beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=200ms")]
    pub max_p99: Vec<String>,
    /// A backend's share of responses with a status of 500 or more beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=1%")]
    pub max_error: Vec<String>,
    /// Stop as soon as the evidence is enough
    #[arg(long)]
    pub sequential: bool,
    /// How a response names its pod: REGEX on the body (group 1), header:NAME or `json:/pointer`; repeatable
    #[arg(long, value_name = "RULE")]
    pub identify: Vec<String>,
}

/// The arguments of the gate.
#[derive(Debug, Clone, Args)]
pub(super) struct GateArgs {
    /// Where the ingress listens
    #[arg(env = "LBTEST_URL", default_value = "http://localhost/")]
    pub url: String,
    #[command(flatten)]
    pub criterion: CriterionArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the gate.
pub(super) fn run(args: &GateArgs) -> Result<ExitStatus, CommandError> {
    output::color(args.output.color);
    let split = args.criterion.split()?;
    let mappings = args.criterion.mappings(&split)?;
    let plan = plan(args, split, mappings)?;
    measure(&plan, &args.output)
}

/// Turns arguments into a plan.
pub(super) fn plan(
    args: &GateArgs,
    split: Split,
    mappings: Mappings,
) -> Result<Plan, CommandError> {
    let criterion = args.criterion.criterion(&split)?;
    let load = &args.load;
    let body = Bytes::from(load.data.clone().unwrap_or_default());
    let (target, request) = target::target(
        &args.url,
        load.host.as_deref(),
        &load.method,
        &load.header,
        body,
    )
    .map_err(CommandError::usage)?;
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let rules = Rules::parse(&load.identify)
        .map_err(CommandError::usage)?
        .ignoring_host(host.unwrap_or_default());
    let is_fresh = !load.keep_alive && load.requests_per_connection == NonZeroU64::MIN;
    if load.sequential && !is_fresh {
        return Err(CommandError::usage(
            "--sequential needs a connection of its own for every request, since responses on one \
             connection may depend on each other: leave --keep-alive and --requests-per-connection away",
        ));
    }
    let requests = match (load.requests, load.duration) {
        (Some(requests), _) => Some(requests),
        (None, _) if load.sequential => NonZeroU64::new(cap_of(&split, &criterion)),
        (None, Some(_)) => None,
        (None, None) => Some(Budget::planned_requests(&split, &criterion)),
    };
    let mut limits = limits("--max-p99", &load.max_p99, &split, |text| {
        quantity::duration(text).map(Limit::P99)
    })?;
    limits.extend(self::limits(
        "--max-error",
        &load.max_error,
        &split,
        |text| quantity::percentage(text).map(Limit::Errors),
    )?);
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let in_flight = requests.map_or(usize::MAX, |n| {
        usize::try_from(n.get()).unwrap_or(usize::MAX)
    });
    let concurrency = load
        .concurrency
        .min(NonZeroUsize::new(in_flight).unwrap_or(NonZeroUsize::MIN));
    Ok(Plan {
        target,
        request,
        budget: Budget {
            requests,
            duration: load.duration,
            max_duration: load.max_duration,
        },
        load: LoadShape {
            concurrency,
            threads: load.threads.unwrap_or(cores).min(concurrency),
            connection_use: if load.keep_alive {
                ConnectionUse::KeepAlive
            } else {
                ConnectionUse::Requests(load.requests_per_connection)
            },
            rate: load.rate,
            timeout: load.timeout,
            connect_timeout: load.connect_timeout,
            max_body: load.max_body,
        },
        split,
        criterion,
        rules,
        mappings,
        limits,
        sequential: load.sequential,
        seed: args.criterion.seed,
    })
}

/// Reads `LABEL=VALUE` limits.
fn limits(
    flag: &str,
    texts: &[String],
    split: &Split,
    value: impl Fn(&str) -> Result<Limit, quantity::QuantityError>,
) -> Result<Vec<(usize, Limit)>, CommandError> {
    let read = |text: &String| {
        let refused =
            |why: &str| CommandError::usage(format!("{flag} '{}': {why}", text.escape_debug()));
        let (label, limit) = text
            .split_once('=')
            .ok_or_else(|| refused("write it as LABEL=VALUE"))?;
        let backend = split.position(label.trim()).ok_or_else(|| {
            let known = split.labels().join(", ");
            refused(&format!("--expect has no such backend, it has {known}"))
        })?;
        let limit = value(limit).map_err(|error| refused(&error.to_string()))?;
        Ok((backend, limit))
    };
    texts.iter().map(read).collect()
}

/// Sends the load, judges what came back and reports it.
pub(super) fn measure(plan: &Plan, args: &OutputArgs) -> Result<ExitStatus, CommandError> {
    let mut outputs = Outputs::open(args)?;
    let registry = PodRegistry::shared(plan.mappings.clone());
    let mut progress = output::ProgressBar::new(plan, args);
    let mut announcement = Some(words::announcement(plan));
    let result = load::run(plan, &registry, &mut |seen| match announcement.take() {
        Some(announcement) => output::note(&announcement),
        None => progress.show(seen),
    });
    progress.clear();
    let report = match &result {
        Ok(run) => Report::of_run(plan, run),
        Err(error) => Report::of_error(plan, error),
    };
    outputs.write(&report)?;
    Ok(report.status())
}
