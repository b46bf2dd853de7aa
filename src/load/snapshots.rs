//! What a run has measured while it goes on: each thread copies what it has when it is asked to, between requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::harvest::Harvest;
use super::shared::Shared;

/// What the threads were asked for, and what they gave.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    /// Counts the questions.
    number: u64,
    given: Vec<Harvest>,
    /// When the last one was asked, from the start of the run.
    at: Duration,
    is_open: bool,
}

impl Snapshots {
    /// Gives what `copy` brings, if it was asked for since `answered`, which is the number of the last question.
    pub(super) fn give(&self, answered: u64, copy: impl FnOnce() -> Harvest) -> u64 {
        let mut asked = self.asked();
        if asked.number != answered {
            asked.given.push(copy());
        }
        asked.number
    }

    /// What the whole run has brought, once in a period; asks for it when that is over.
    pub(super) fn next(&self, shared: &Shared, period: Duration) -> Option<Harvest> {
        let now = shared.started.elapsed();
        let mut asked = self.asked();
        if !asked.is_open {
            if now.saturating_sub(asked.at) >= period {
                asked.number += 1;
                (asked.at, asked.is_open) = (now, true);
            }
            return None;
        }
        if asked.given.len() < shared.plan.load.threads.get() {
            return None;
        }
        asked.is_open = false;
        let mut whole = Harvest::new(shared.registry.clone(), shared.turnstile.epochs.present());
        let given = std::mem::take(&mut asked.given);
        // What was counted before a limiter was kept to is set aside with the next request.
        let is_one = |harvest: &Harvest| harvest.epoch_number == whole.epoch_number;
        if !given.iter().all(is_one) {
            return None;
        }
        for harvest in &given {
            whole.merge(harvest);
        }
        Some(whole)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
