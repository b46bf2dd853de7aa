//! A plan → load → verdict → report, for every command that sends load.

use std::sync::Arc;

use super::announcement;
use super::connections::compare;
use super::notices::Notices;
use super::output::{OutputArgs, Outputs, Sink};
use super::probe::probe;
use super::{CommandError, output};
use crate::exit::ExitStatus;
use crate::format;
use crate::load::discovery::Discovery;
use crate::load::{self, machine};
use crate::measured::{Measured, Unmeasured};
use crate::plan::settings::Settings;
use crate::plan::{Plan, Snapshot};
use crate::report::{Finding, Report, json};
use crate::split::Split;
use crate::tally::pods::PodRegistry;
use crate::verdict::promise::pods;
use crate::verdict::{self, Outcome};

/// The expected split, with a warning when its weights are relative and were typed as they are.
pub(super) fn expected(settings: &Settings) -> Result<Split, CommandError> {
    let split = settings.split()?;
    if split.is_relative() && settings.expectation.expect_from.is_empty() {
        let shares = format::shares(&split);
        output::warn(&format!(
            "the weights of --expect sum to neither 1 nor 100; taken as {shares}"
        ));
    }
    Ok(split)
}

/// Sends the load, judges what came back and reports it, together with `findings` about the plan.
pub(super) fn measure(
    plan: &Plan,
    findings: Vec<Finding>,
    args: &OutputArgs,
) -> Result<ExitStatus, CommandError> {
    let mut outputs = Outputs::open(args)?;
    let (_, mut report) = measured(plan, &[], args);
    report.findings.extend(findings);
    report.command_line = super::command_line();
    outputs.write(&report)?;
    Ok(report.status())
}

/// What follows from what was measured, and the report of it.
pub(super) fn concluded(plan: &Plan, measured: &Measured) -> (Outcome, Report) {
    let (claim, outcome) = verdict::judge_named(&plan.claim, measured);
    let report = Report::of(&claim, measured, &outcome);
    (outcome, report)
}

/// Sends the load and judges what came back; `known` are pods that answered an earlier check of the same.
pub(super) fn measured(plan: &Plan, known: &[String], args: &OutputArgs) -> (Outcome, Report) {
    let registry = |plan: &Plan| PodRegistry::knowing(plan.mappings.clone(), known);
    if !plan.preparation.discovers_pods {
        return run(plan, &registry(plan), args, None);
    }
    match found(plan, args) {
        Ok((plan, discovery)) => run(&plan, &registry(&plan), args, Some(discovery)),
        Err(error) => concluded(plan, &Measured::failed(plan, error)),
    }
}

/// The plan for the pods that answer, and what found them.
fn found(plan: &Plan, args: &OutputArgs) -> Result<(Plan, Discovery), Unmeasured> {
    let found = load::discovery::discover(plan)?;
    let planned = found.plan(plan)?;
    let often = format::frequency(plan.claim.criterion.alpha);
    if found.pods.len() > 1 && !args.quiet {
        output::note(&format!(
            "{} answered {} requests, which are set aside; another that gets half of an equal share is missed at most \
             {often}",
            pods(&planned.claim),
            found.requests()
        ));
    }
    Ok((planned, found))
}

fn run(
    plan: &Plan,
    registry: &Arc<PodRegistry>,
    args: &OutputArgs,
    discovery: Option<Discovery>,
) -> (Outcome, Report) {
    if let Some(shortage) = machine::port_shortage(plan) {
        output::warn(&announcement::port_shortage(shortage));
    }
    let mut progress = output::ProgressBar::new(plan, registry, args);
    let mut notices = Notices::new(announcement::announcement(plan, args.detail()), registry);
    let mut measured = load::measure(plan, registry, &mut |seen| {
        let news = notices.news(plan, &seen);
        if let Some(news) = news.filter(|_| !args.quiet) {
            progress.clear();
            output::note(&news);
        }
        if let (Some(snapshot), Some(measured)) = (&plan.snapshot, &seen.snapshot)
            && let Err(error) = write_snapshot(plan, snapshot, measured)
        {
            progress.clear();
            output::warn(&error.message);
        }
        progress.show(&seen);
    });
    drop(progress);
    if let Some(discovery) = discovery {
        discovery.add_to(&mut measured);
    }
    let (claim, mut outcome) = verdict::judge_named(&plan.claim, &measured);
    if plan.shard.is_none() {
        probe(plan, &measured, &mut outcome, args);
        compare(plan, &mut outcome, args);
    }
    let report = Report::of(&claim, &measured, &outcome);
    (outcome, report)
}

/// Writes down what a run has measured so far, in place of what it wrote before.
fn write_snapshot(
    plan: &Plan,
    snapshot: &Snapshot,
    measured: &Measured,
) -> Result<(), CommandError> {
    let (_, report) = concluded(plan, measured);
    let Some(sink) = Sink::open_report("--snapshot", Some(&snapshot.path))? else {
        return Ok(());
    };
    sink.write(|out| json::write(&report, out))
        .map_err(|error| CommandError::usage(format!("--snapshot: {error}")))
}
