//! The client threads: started, watched, stopped, joined.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::harvest::Harvest;
use super::shared::Shared;
use super::signals::Signals;
use super::snapshots::Snapshots;
use super::{LoadError, Phase, Progress, worker};
use crate::measured::Ending;
use crate::tally::set_aside::Reason;

/// The client threads, and word of the last of them ending.
pub(super) struct Threads {
    handles: Vec<std::thread::JoinHandle<std::io::Result<Harvest>>>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Threads {
    /// Starts all of them; where the system starts no more, those that run are stopped again.
    pub(super) fn start(
        shared: &Arc<Shared>,
        snapshots: &Arc<Snapshots>,
        phase: &watch::Sender<Phase>,
    ) -> Result<Self, LoadError> {
        let load = &shared.plan.load;
        let (concurrency, threads) = (load.concurrency.get(), load.threads.get());
        let (running, ended) = mpsc::unbounded_channel::<()>();
        let start = |thread| {
            let connections = concurrency / threads + usize::from(thread < concurrency % threads);
            let (shared, phase, running) = (Arc::clone(shared), phase.subscribe(), running.clone());
            let snapshots = Arc::clone(snapshots);
            std::thread::Builder::new().spawn(move || {
                // Dropped when the thread ends, by whatever way.
                let _running = running;
                worker::run(&shared, connections, thread, &snapshots, phase)
            })
        };
        let handles = (0..threads).map(start).collect::<Result<_, _>>();
        handles
            .map(|handles| Self { handles, ended })
            .map_err(|source| {
                shared.turnstile.dispenser.stop();
                phase.send_replace(Phase::Quit);
                LoadError::Threads { threads, source }
            })
    }

    /// Waits for the threads to end, stopping them when time is up or the user says so.
    pub(super) async fn watch(
        &mut self,
        shared: &Shared,
        phase: &watch::Sender<Phase>,
        signals: &mut Signals,
        progress: &mut dyn FnMut(Progress),
    ) -> Option<Ending> {
        let budget = &shared.plan.budget;
        let planned = budget.duration.unwrap_or(Duration::MAX);
        let (limit, at_limit) = if planned <= budget.max_duration {
            (planned, None)
        } else {
            (budget.max_duration, Some(Ending::MaxDuration))
        };
        // Whoever polls has no use for an answer that comes later.
        let is_poll = shared.set_aside_as == Some(Reason::WaitReady);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut ending = None;
        loop {
            let left = limit.saturating_sub(shared.started.elapsed());
            tokio::select! {
                biased;
                _ = self.ended.recv() => return ending,
                () = signals.next() => {
                    let next = match *phase.borrow() {
                        Phase::Run => Phase::Drain,
                        Phase::Drain | Phase::Quit => Phase::Quit,
                    };
                    shared.turnstile.dispenser.stop();
                    phase.send_replace(next);
                    ending = Some(Ending::Interrupted);
                }
                () = tokio::time::sleep(left), if !shared.turnstile.dispenser.is_stopped() => {
                    shared.turnstile.dispenser.stop();
                    phase.send_replace(if is_poll { Phase::Quit } else { Phase::Drain });
                    ending = at_limit;
                }
                _ = tick.tick() => {
                    progress(shared.progress());
                    if is_poll && shared.turnstile.dispenser.is_stopped() {
                        phase.send_replace(Phase::Quit);
                    }
                }
            }
        }
    }

    pub(super) fn join(self, shared: &Shared) -> std::io::Result<Harvest> {
        let registry = Arc::clone(&shared.registry);
        let mut whole = Harvest::new(registry, shared.turnstile.epochs.present());
        for handle in self.handles {
            let harvest = handle
                .join()
                .map_err(|_| std::io::Error::other("a client thread panicked"))?;
            let mut harvest = harvest?;
            harvest.keep_up(shared);
            whole.merge(&harvest);
        }
        Ok(whole)
    }
}
