//! The checks of `lbtest.toml`: found, run one after the other, judged together.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use http::Uri;
use http::header::{HOST, HeaderValue};

use super::measure;
use super::options::GateArgs;
use super::output::Outputs;
use super::{CommandError, manifests, output};
use crate::exit::ExitStatus;
use crate::load::LoadError;
use crate::load::signals::Pending;
use crate::measured::Measured;
use crate::plan::Plan;
use crate::plan::config::{Check, Config, FILE_NAME, MOST_BYTES};
use crate::plan::settings::Settings;
use crate::plan::target::Target;
use crate::report::checks::ChecksReport;
use crate::report::{Finding, Report};
use crate::verdict::checks::{self as together, JudgedCheck};

/// The configuration that `--config` names, or that lies in the working directory; `None` without one.
pub(super) fn configuration(path: Option<&Path>) -> Result<Option<Config>, CommandError> {
    let found = PathBuf::from(FILE_NAME);
    let (path, is_asked_for) = match path {
        Some(path) => (path, true),
        None => (found.as_path(), false),
    };
    let text = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_asked_for => return Ok(None),
        read => read.map_err(|error| {
            let path = path.display().to_string();
            CommandError::usage(format!(
                "--config {}: {error}; name a file that can be read",
                path.escape_debug()
            ))
        })?,
    };
    let name = path.display().to_string().escape_debug().to_string();
    let config = Config::parse(&name, &text).map_err(CommandError::usage)?;
    Ok(Some(config))
}

/// Reads a text that is no larger than a configuration may be.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if bytes.len() as u64 > MOST_BYTES {
        return Err(invalid("the file is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("the file is not UTF-8 text"))
}

/// Runs the checks, one after the other, and reports each and the whole.
pub(super) fn run(args: &GateArgs, config: &Config) -> Result<ExitStatus, CommandError> {
    args.shard.refuse_checks()?;
    let checks = config.named(&args.check).map_err(CommandError::usage)?;
    refuse_idle(args, &checks)?;
    let mut planned: Vec<(String, Plan, Vec<Finding>)> = Vec::new();
    for check in checks {
        let name = check.own.name.clone();
        let (plan, findings) = plan(args, check).map_err(|error| error.of_check(&name))?;
        planned.push((name, plan, findings));
    }
    let mut outputs = Outputs::open(&args.output)?;
    let mut pending = Pending::new().map_err(CommandError::not_measured)?;
    let mut reports: Vec<(String, Report)> = Vec::new();
    let mut judged = Vec::new();
    let mut learned = Learned::default();
    let mut interrupted = false;
    let typed = super::command_line();
    for (name, plan, findings) in planned {
        let (outcome, mut report) = if interrupted {
            let measured = Measured::failed(&plan, LoadError::Interrupted(Box::default()).into());
            measure::concluded(&plan, &measured)
        } else {
            if !args.output.quiet {
                output::note(&format!("{name}:"));
            }
            measure::measured(&plan, &learned.of(&plan), &args.output)
        };
        learned.add(&plan, &report);
        report.findings.extend(findings);
        report.command_line.clone_from(&typed);
        // A signal that came while a verdict was computed ends the whole run too.
        interrupted = interrupted || report.interrupted || pending.came();
        reports.push((name.clone(), report));
        judged.push(JudgedCheck {
            name,
            alpha: plan.claim.criterion.alpha,
            verdict: outcome.verdict,
            p_value: outcome.fail_p_value(plan.claim.criterion.alpha),
        });
    }
    let report = ChecksReport::of(reports, &together::judge(&judged));
    outputs.write_checks(&report)?;
    Ok(report.status())
}

/// The pods that answered so far, by what was asked: what one check learns of workloads, a later one need not guess.
#[derive(Default)]
struct Learned(Vec<(Asked, BTreeSet<String>)>);

/// Checks of one target, host and path ask the same backends, whatever their headers say.
#[derive(PartialEq)]
struct Asked(Target, Uri, Option<HeaderValue>);

impl Asked {
    fn by(plan: &Plan) -> Self {
        let host = plan.request.headers.get(HOST).cloned();
        Self(plan.target.clone(), plan.request.uri.clone(), host)
    }
}

impl Learned {
    /// What is known; nothing where each pod is judged, of which others are none.
    fn of(&self, plan: &Plan) -> Vec<String> {
        if plan.mappings.are_single() {
            return Vec::new();
        }
        let asked = Asked::by(plan);
        let known = self.0.iter().find(|(other, _)| *other == asked);
        known.map_or_else(Vec::new, |(_, pods)| pods.iter().cloned().collect())
    }

    fn add(&mut self, plan: &Plan, report: &Report) {
        let asked = Asked::by(plan);
        let pods = report.pods.iter().map(|pod| pod.name.clone());
        match self.0.iter_mut().find(|(other, _)| *other == asked) {
            Some((_, known)) => known.extend(pods),
            None => self.0.push((asked, pods.collect())),
        }
    }
}

/// Refuses what the command line says in vain of every one of the checks.
fn refuse_idle(args: &GateArgs, checks: &[&Check]) -> Result<(), CommandError> {
    let asked = args.over(Settings::default());
    let idle = |check: &&Check| args.over(check.settings.clone()).refuse_idle(&asked);
    let refused: Result<Vec<_>, ()> = checks
        .iter()
        .map(|check| idle(check).err().ok_or(()))
        .collect();
    match refused.ok().and_then(|refused| refused.into_iter().next()) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// What a check sends, and what its manifests have wrong.
fn plan(args: &GateArgs, check: &Check) -> Result<(Plan, Vec<Finding>), CommandError> {
    let (settings, manifests) = manifests::resolve(args.over(check.settings.clone()))?;
    let plan = args.shard.comparing(settings.plan()?)?;
    let findings = manifests::findings(manifests, &plan)?;
    Ok((plan, findings))
}
