//! What a run has brought so far, for who watches it.
//!
//! Each thread puts its counts up a few times a second, between requests; the path of a response knows
//! nothing of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a thread puts its counts up.
const EVERY: Duration = Duration::from_millis(200);

/// Counts of a run under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Identified responses; `by_group[g]` belongs to the group with this number.
    pub by_group: Vec<u64>,
    /// Requests that were written and got no identity.
    pub unattributed: u64,
    /// Requests without a whole response.
    pub failed: u64,
}

impl SoFar {
    fn add(&mut self, other: &Self) {
        if self.by_group.len() < other.by_group.len() {
            self.by_group.resize(other.by_group.len(), 0);
        }
        for (mine, theirs) in self.by_group.iter_mut().zip(&other.by_group) {
            *mine += theirs;
        }
        self.unattributed += other.unattributed;
        self.failed += other.failed;
    }
}

/// The counts of all threads, each in a place of its own.
#[derive(Debug)]
pub(super) struct Board {
    places: Vec<Mutex<SoFar>>,
}

impl Board {
    pub(super) fn new(threads: usize) -> Self {
        let places = std::iter::repeat_with(Mutex::default);
        Self {
            places: places.take(threads).collect(),
        }
    }

    /// What all threads have put up.
    pub(super) fn sum(&self) -> SoFar {
        let mut sum = SoFar::default();
        for place in &self.places {
            sum.add(&place.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    /// Puts the counts of one thread up, as `put_up` writes them, again and again.
    ///
    /// # Cancel safety
    /// Dropping it leaves what was put up last.
    pub(super) async fn keep(&self, thread: usize, put_up: impl Fn(&mut SoFar)) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let mut place = self.places[thread]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            put_up(&mut place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_threads_add_up_whatever_groups_each_has_met() {
        let board = Board::new(2);
        let so_far = |by_group: &[u64], failed| SoFar {
            by_group: by_group.to_vec(),
            unattributed: failed,
            failed,
        };
        *board.places[0].lock().unwrap() = so_far(&[1, 2], 1);
        *board.places[1].lock().unwrap() = so_far(&[0, 3, 4], 2);
        assert_eq!(board.sum(), so_far(&[1, 5, 4], 3));
        assert_eq!(board.sum().by_group.iter().sum::<u64>(), 10);
    }
}
