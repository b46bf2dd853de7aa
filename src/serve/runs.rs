//! Begins the runs and takes what they bring.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::board::RunResult;
use super::check::Step;
use super::history::Keeper;
use super::moment::Moment;
use super::page;
use super::token::Secret;
use super::{NamedCheck, News, Shared};
use crate::load;
use crate::report::{Named, Report, html};
use crate::tally::pods::PodRegistry;
use crate::verdict;

/// The clock may be set meanwhile, and the token replaced: both are looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// Runs that are under way end within this once the gate stops, or are left to themselves: Kubernetes waits
/// 30 s before it kills (`terminationGracePeriodSeconds`).
const LAST: Duration = Duration::from_secs(25);

/// A run that has ended.
type Finished = (usize, Step, RunResult);

/// Keeps the checks running until the gate stops, and awaits the runs that are under way then.
///
/// Dropping the future leaves those to themselves.
pub(super) async fn keep(shared: &Arc<Shared>, mut tell: impl FnMut(&News<'_>)) {
    let mut runs: JoinSet<Finished> = JoinSet::new();
    // A run that begins when the signal comes may take signals over too late to see it.
    let mut halts: Vec<Arc<Notify>> = Vec::new();
    let mut looked = Instant::now();
    let mut keeper = Keeper::new(shared.state.clone());
    let history = || shared.board().history();
    loop {
        if shared.is_stopping() {
            for halt in &halts {
                halt.notify_one();
            }
            let last = async {
                while let Some(Ok(finished)) = runs.join_next().await {
                    take(shared, finished, &mut tell);
                    keeper.changed();
                }
            };
            let _ = tokio::time::timeout(LAST, last).await;
            keeper.finish(history).await;
            return;
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if let Some(read) = shared.token.as_ref().and_then(Secret::reread) {
                tell(&News::Token(read.as_ref().copied()));
            }
        }
        while let Some((index, step)) = shared.board().start(Moment::now()) {
            halts.retain(|halt| Arc::strong_count(halt) > 1);
            halts.push(begin(&mut runs, shared, index, step));
            shared.page.forget();
        }
        keeper.begin(history);
        let idle = shared
            .board()
            .idle_for(Moment::now())
            .map(|idle| idle.min(LOOK));
        tokio::select! {
            Some(Ok(finished)) = runs.join_next() => {
                take(shared, finished, &mut tell);
                keeper.changed();
            }
            written = keeper.written() => if let Some(written) = written {
                tell(&News::History(written.as_ref().copied()));
                shared.page.trouble(written.err().map(|error| error.to_string()));
            },
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(idle.unwrap_or(LOOK)) => {}
        }
    }
}

/// Begins a run; what comes back ends it.
fn begin(
    runs: &mut JoinSet<Finished>,
    shared: &Arc<Shared>,
    index: usize,
    step: Step,
) -> Arc<Notify> {
    let halt = Arc::new(Notify::new());
    let own = Arc::clone(&halt);
    let shared = Arc::clone(shared);
    let expected = step.clone();
    let (bring, result) = oneshot::channel();
    // A run blocks, and has runtimes of its own: it gets a thread, which may be refused.
    let begun = thread::Builder::new()
        .name("run".to_owned())
        .spawn(move || {
            // The gate is over when nobody awaits it.
            let _ = bring.send(measure(&shared.checks[index], &expected, &own));
        });
    runs.spawn(async move {
        let result = match begun {
            Ok(_) => result
                .await
                .unwrap_or_else(|_| Err("the run panicked".to_owned())),
            Err(error) => Err(format!("no thread for the run could start: {error}")),
        };
        (index, step, result)
    });
    halt
}

/// Sends a check's load for a step, and judges what came back.
fn measure(check: &NamedCheck, step: &Step, halt: &Arc<Notify>) -> RunResult {
    let mut settings = check.settings.clone();
    // Pods that are to share equally are no weights.
    let is_weighted = !step.split.is_of_pods();
    settings.expectation.expect = is_weighted.then(|| step.split.to_string());
    if !step.backends.is_empty() {
        settings.promise.backend.clone_from(&step.backends);
    }
    let mut plan = settings.plan().map_err(|error| error.to_string())?;
    let mut discovery = None;
    if plan.preparation.discovers_pods {
        let found = load::discovery::discover(&plan).map_err(|error| error.to_string())?;
        plan = found.plan(&plan).map_err(|error| error.message)?;
        discovery = Some(found);
    }
    let registry = PodRegistry::shared(plan.mappings.clone());
    let mut measured = load::measure_until(&plan, &registry, halt, &mut |_| {});
    if let Some(discovery) = discovery {
        discovery.add_to(&mut measured);
    }
    let (claim, outcome) = verdict::judge_named(&plan.claim, &measured);
    let mut report = Report::of(&claim, &measured, &outcome);
    report.findings.extend(check.findings.iter().cloned());
    let named = Named {
        name: Some(&check.name),
        report: &report,
    };
    let page = page::packed(&html::render(&[named], None));
    Ok((report, page))
}

fn take(shared: &Shared, (index, step, result): Finished, tell: &mut impl FnMut(&News<'_>)) {
    let check = &shared.checks[index];
    tell(&News::Ended {
        check: &check.name,
        split: &step.split,
        result: match &result {
            Ok((report, _)) => Ok(report),
            Err(why) => Err(why),
        },
    });
    shared
        .board()
        .finish((index, check), &step, result, Moment::now());
    shared.page.forget();
}
