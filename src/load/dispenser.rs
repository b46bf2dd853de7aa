//! Hands out the requests of a run: exactly as many as are to be attributed, in one dispatch order.
//!
//! Shared by the threads; a take is two atomic additions, never a lock. A request that got no identity
//! is replaced, up to a bound, so that n attributed requests come together whatever fails.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::plan::Budget;

/// Tickets for requests.
#[derive(Debug)]
pub struct Dispenser {
    /// Requests still to be handed out; `i64::MAX` when the run is bounded by time alone.
    remaining: AtomicI64,
    replacements: AtomicI64,
    replaced: AtomicU64,
    dispatched: AtomicU64,
    /// Those of them that were handed out before the last restart.
    before_restart: AtomicU64,
    stopped: AtomicBool,
    exhausted: AtomicBool,
}

impl Dispenser {
    /// Tickets for `requests` attributed requests (`None`: no bound) and so many replacements.
    pub fn new(requests: Option<u64>, replacements: u64) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            remaining: AtomicI64::new(requests.map_or(i64::MAX, signed)),
            replacements: AtomicI64::new(signed(replacements)),
            replaced: AtomicU64::new(0),
            dispatched: AtomicU64::new(0),
            before_restart: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
        }
    }

    /// The next place in the dispatch order; `None` when enough are out or the run is stopping.
    pub fn take(&self) -> Option<u64> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        if self.remaining.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.remaining.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.dispatched.fetch_add(1, Ordering::Relaxed))
    }

    /// Allows one more request in place of one that got no identity, while replacements last.
    pub fn replace(&self) {
        if self.replacements.fetch_sub(1, Ordering::Relaxed) > 0 {
            self.replaced.fetch_add(1, Ordering::Relaxed);
            self.remaining.fetch_add(1, Ordering::Relaxed);
        } else {
            self.replacements.fetch_add(1, Ordering::Relaxed);
            self.exhausted.store(true, Ordering::Relaxed);
        }
    }

    /// Begins again with the whole budget; the first place in the dispatch order that belongs to it. No
    /// other thread may take or replace anything meanwhile.
    pub fn restart(&self, budget: &Budget) -> u64 {
        let fresh = Self::new(budget.requests.map(NonZeroU64::get), budget.replacements());
        let first = self.dispatched.load(Ordering::Relaxed);
        self.before_restart.store(first, Ordering::Relaxed);
        self.replaced.store(0, Ordering::Relaxed);
        self.replacements
            .store(fresh.replacements.into_inner(), Ordering::Relaxed);
        self.exhausted.store(false, Ordering::Relaxed);
        self.remaining
            .store(fresh.remaining.into_inner(), Ordering::Relaxed);
        first
    }

    /// Hands out nothing more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How many tickets were handed out since the last restart, those in place of requests that got no
    /// identity not counted.
    pub fn progress(&self) -> u64 {
        let elsewhere = [&self.before_restart, &self.replaced];
        let elsewhere: u64 = elsewhere
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        let dispatched = self.dispatched.load(Ordering::Relaxed);
        dispatched.saturating_sub(elsewhere)
    }

    /// Whether a request could not be replaced since the bound was reached.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_together_take_exactly_what_was_asked_for() {
        let dispenser = Dispenser::new(Some(10_000), 0);
        let taken = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| dispenser.take()).count()))
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(taken, 10_000);
        assert_eq!(dispenser.progress(), 10_000);
    }

    #[test]
    fn replacements_end_at_their_bound() {
        let dispenser = Dispenser::new(Some(2), 3);
        let mut taken = 0;
        while dispenser.take().is_some() {
            taken += 1;
            dispenser.replace();
        }
        assert_eq!(taken, 5);
        assert!(dispenser.is_exhausted());
    }

    #[test]
    fn a_restart_hands_the_whole_budget_out_again_under_later_tickets() {
        let budget = Budget {
            requests: NonZeroU64::new(5),
            duration: None,
            max_duration: std::time::Duration::from_secs(1),
        };
        let dispenser = Dispenser::new(Some(5), budget.replacements());
        for _ in 0..3 {
            dispenser.take();
        }
        dispenser.replace();
        assert_eq!((dispenser.progress(), dispenser.restart(&budget)), (2, 3));
        assert_eq!(dispenser.progress(), 0);
        let tickets: Vec<u64> = std::iter::from_fn(|| dispenser.take()).collect();
        assert_eq!(tickets, [3, 4, 5, 6, 7]);
    }

    #[test]
    fn nothing_is_taken_after_a_stop() {
        let dispenser = Dispenser::new(None, 0);
        assert_eq!(dispenser.take(), Some(0));
        dispenser.stop();
        assert_eq!(dispenser.take(), None);
    }
}
