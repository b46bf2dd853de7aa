//! `lbtest lint`: what is wrong with manifests; sends nothing.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::Documents;
use super::{CommandError, manifests};
use crate::exit::ExitStatus;
use crate::manifest::{Finding, Manifests, PassedOver, PlannedRun, Severity, lint};
use crate::plan::quantity;
use crate::plan::settings::Settings;
use crate::report::lint::{LintFinding, LintPassedOver, LintReport, SCHEMA_VERSION, render};
use crate::split::Split;

/// The arguments of `lint`.
#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Manifests: files, folders, kubectl:NAMESPACE, or '-' for stdin (YAML, JSON, or what `kubectl get -o json` prints)
    #[arg(value_name = "FILE", required = true)]
    file: Vec<String>,
    /// Requests of the run that is planned (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, conflicts_with_all = ["alpha", "tolerance"])]
    requests: Option<NonZeroU64>,
    /// The time that the run may take
    #[arg(long, value_name = "D", default_value = "10m", value_parser = quantity::duration)]
    max_duration: Duration,
    /// Promised error rate of the run (default: 0.001)
    #[arg(long, value_name = "RATE")]
    alpha: Option<f64>,
    /// The smallest shift, in percentage points, that a PASS of the run rules out (default: 5)
    #[arg(long, value_name = "PP", value_parser = quantity::percentage_points)]
    tolerance: Option<f64>,
    /// Write the findings as JSON to a file, or to stdout for '-'
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

/// Checks the manifests and prints what is wrong with them.
pub(super) fn run(args: &LintArgs) -> Result<ExitStatus, CommandError> {
    refuse_to_replace_manifests(args)?;
    let documents = Documents::of_json(args.json.as_deref())?;
    let mut settings = Settings::default();
    settings.promise.alpha = args.alpha;
    settings.promise.tolerance = args.tolerance;
    // What is wrong with --alpha or --tolerance is told before any file is read.
    let any = Split::new([("a", 1.0), ("b", 1.0)]).map_err(CommandError::usage)?;
    settings.claim(any)?;
    let manifests = manifests::read("lint", &args.file)?;
    if manifests.objects().is_empty() {
        return Err(CommandError::usage(
            "lint: there is no Kubernetes object in what was given",
        ));
    }
    let requests = |split: &Split| {
        let claim = settings.claim(split.clone()).ok()?;
        let planned = || claim.planned_requests();
        Some(args.requests.unwrap_or_else(planned).get())
    };
    let planned = PlannedRun {
        requests: &requests,
        max_duration: args.max_duration,
    };
    manifests::tell_passed_over(&manifests);
    let report = checked(manifests, &planned);
    documents.write(&render(&report), &report, "")?;
    Ok(if report.errors > 0 {
        ExitStatus::Fail
    } else {
        ExitStatus::Pass
    })
}

/// The findings are not to take the place of what they are about.
fn refuse_to_replace_manifests(args: &LintArgs) -> Result<(), CommandError> {
    let is_yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    };
    if let Some(path) = args.json.as_ref().filter(|path| is_yaml(path)) {
        return Err(CommandError::usage(format!(
            "--json {} looks like a manifest, which the findings would replace: name a .json file, or - for stdout",
            path.display()
        )));
    }
    Ok(())
}

/// Everything that is wrong with the manifests, each set of them by itself.
fn checked(manifests: Manifests, planned: &PlannedRun<'_>) -> LintReport {
    let objects = manifests.objects().len() as u64;
    let passed_over = manifests.passed_over().iter().map(passed_over).collect();
    let (mut findings, mut routes) = (Vec::new(), Vec::new());
    let sets = manifests.into_sets();
    findings.extend(sets.findings);
    for set in &sets.sets {
        let mut checked = lint(set, Some(planned));
        findings.append(&mut checked.findings);
        routes.append(&mut checked.splits);
    }
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    LintReport {
        schema_version: SCHEMA_VERSION,
        objects,
        passed_over,
        routes,
        errors: count(Severity::Error) as u64,
        warnings: count(Severity::Warning) as u64,
        findings: findings.iter().map(reported).collect(),
    }
}

fn passed_over(passed_over: &PassedOver) -> LintPassedOver {
    LintPassedOver {
        file: passed_over.file.clone(),
        reason: passed_over.reason.clone(),
    }
}

fn reported(finding: &Finding) -> LintFinding {
    let figure = |(name, figure): &(&str, f64)| ((*name).to_owned(), *figure);
    LintFinding {
        code: finding.code.to_owned(),
        severity: finding.severity.code(),
        file: finding.file.clone(),
        document: finding.document as u64,
        line: finding.line,
        object: finding.object.clone(),
        path: finding.path.clone(),
        message: finding.message.clone(),
        evidence: finding.evidence.iter().map(figure).collect(),
    }
}
