//! Begins the runs and takes what they bring.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::board::Brought;
use super::check::Step;
use super::{Ended, NamedCheck, Shared};
use crate::load;
use crate::plan::settings::Settings;
use crate::report::Report;
use crate::tally::pods::PodRegistry;
use crate::verdict;

/// The clock may be set meanwhile: what is due is looked for at least this often.
const LOOK: Duration = Duration::from_secs(1);

/// Runs that are under way end within this once the gate stops, or are left to themselves: Kubernetes waits
/// 30 s before it kills (`terminationGracePeriodSeconds`).
const LAST: Duration = Duration::from_secs(25);

/// A run that has ended.
type Finished = (usize, Step, Result<Brought, JoinError>);

/// Keeps the checks running until the gate stops, and awaits the runs that are under way then.
///
/// Dropping the future leaves those to themselves.
pub(super) async fn keep(shared: &Arc<Shared>, mut tell: impl FnMut(&Ended<'_>)) {
    let mut runs: JoinSet<Finished> = JoinSet::new();
    loop {
        if shared.is_stopping() {
            let last = async {
                while let Some(joined) = runs.join_next().await {
                    take(shared, joined, &mut tell);
                }
            };
            let _ = tokio::time::timeout(LAST, last).await;
            return;
        }
        while let Some((index, step)) = shared.board().start(SystemTime::now()) {
            begin(&mut runs, shared, index, step);
        }
        let idle = shared
            .board()
            .idle_for(SystemTime::now())
            .map(|idle| idle.min(LOOK));
        tokio::select! {
            Some(joined) = runs.join_next() => take(shared, joined, &mut tell),
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(idle.unwrap_or(LOOK)) => {}
        }
    }
}

fn begin(runs: &mut JoinSet<Finished>, shared: &Arc<Shared>, index: usize, step: Step) {
    let shared = Arc::clone(shared);
    let expected = step.clone();
    // A run blocks: it has runtimes of its own.
    let run = spawn_blocking(move || measure(&shared.checks[index], &expected));
    runs.spawn(async move { (index, step, run.await) });
}

/// Sends a check's load for a step, and judges what came back.
fn measure(check: &NamedCheck, step: &Step) -> Brought {
    let settings = Settings {
        expect: Some(step.split.to_string()),
        backend: if step.backends.is_empty() {
            check.settings.backend.clone()
        } else {
            step.backends.clone()
        },
        ..check.settings.clone()
    };
    let plan = settings.plan().map_err(|error| error.to_string())?;
    let registry = PodRegistry::shared(plan.mappings.clone());
    let measured = load::measure(&plan, &registry, &mut |_| {});
    let outcome = verdict::judge(&plan.claim, &measured);
    let mut report = Report::of(&plan.claim, &measured, &outcome);
    report.findings.extend(check.findings.iter().cloned());
    Ok(report)
}

fn take(shared: &Shared, finished: Result<Finished, JoinError>, tell: &mut impl FnMut(&Ended<'_>)) {
    let (index, step, joined) = finished.expect("a run's panic is caught within");
    let brought = joined.unwrap_or_else(|_| Err("the run panicked".to_owned()));
    let check = &shared.checks[index];
    tell(&Ended {
        check: &check.name,
        split: &step.split,
        brought: brought.as_ref().map_err(String::as_str),
    });
    shared
        .board()
        .finish((index, check), &step, brought, SystemTime::now());
}
