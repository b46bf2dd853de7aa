//! The threads' way to the [`Limiter`]: closed while one is suspected or kept to, and otherwise a load of an
//! atomic for each request.
//!
//! Behind it requests go one by one, whichever thread they are of: the loop at the head of the queue waits
//! until something may be sent, sends it, and makes room for the next.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dispenser::Dispenser;
use super::epoch::Epoch;
use super::limiter::{Answer, Change, Limiter, Permit, Rejection};
use crate::measured::RateLimit;
use crate::plan::Plan;
use crate::plan::pace::Rate;
use crate::tally::pods::PodRegistry;

/// The present epoch and its number, which tells threads that it has changed.
#[derive(Debug)]
pub(super) struct Epochs {
    pub number: AtomicU32,
    present: Mutex<Arc<Epoch>>,
}

impl Epochs {
    pub(super) fn new(first: Arc<Epoch>) -> Self {
        Self {
            number: AtomicU32::new(0),
            present: Mutex::new(first),
        }
    }

    pub(super) fn present(&self) -> (u32, Arc<Epoch>) {
        let present = lock(&self.present);
        (self.number.load(Ordering::Relaxed), Arc::clone(&present))
    }

    fn begin(&self, epoch: Arc<Epoch>) {
        let mut present = lock(&self.present);
        *present = epoch;
        self.number.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The turnstile is open: go by the plan.
    Open,
    /// Go as a probe with this permit.
    Probe(u32),
    /// Go as the request with this place in the dispatch order, with this permit.
    Request(u64, u32),
    /// Ask again at this time from the start of the run.
    Wait(Duration),
    /// Nothing more is to be sent.
    Spent,
}

/// A [`Limiter`] that the threads of a run share, and what it governs.
#[derive(Debug)]
pub(super) struct Turnstile {
    pub dispenser: Dispenser,
    pub epochs: Epochs,
    registry: Arc<PodRegistry>,
    is_closed: AtomicBool,
    /// Held by the loop at the head of the queue.
    pub head: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// By how many nanoseconds looking for a limiter has put the open-loop schedule off.
    postponed: AtomicU64,
}

#[derive(Debug)]
struct State {
    limiter: Limiter,
    closed_at: Duration,
    found: Option<RateLimit>,
}

impl Turnstile {
    pub(super) fn new(plan: &Plan, dispenser: Dispenser, registry: &Arc<PodRegistry>) -> Self {
        let rate = plan.load.rate.map(Rate::per_second);
        Self {
            dispenser,
            epochs: Epochs::new(Epoch::new(plan, registry, 0)),
            registry: Arc::clone(registry),
            is_closed: AtomicBool::new(false),
            head: tokio::sync::Mutex::new(()),
            state: Mutex::new(State {
                limiter: Limiter::new(
                    rate,
                    plan.load
                        .concurrency
                        .get()
                        .saturating_mul(plan.load.streams.get()),
                ),
                closed_at: Duration::ZERO,
                found: None,
            }),
            postponed: AtomicU64::new(0),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// The limiter that is kept to.
    pub(super) fn found(&self) -> Option<RateLimit> {
        lock(&self.state).found
    }

    /// Whether the run ended before it was known if its rejections are a limiter's.
    pub(super) fn is_undecided(&self) -> bool {
        lock(&self.state).limiter.is_undecided()
    }

    /// How much later than planned requests are due, in a run at a set rate.
    pub(super) fn postponed(&self) -> Duration {
        Duration::from_nanos(self.postponed.load(Ordering::Relaxed))
    }

    /// Puts the open-loop schedule off.
    pub(super) fn postpone(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.postponed.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What the loop at the head may do at `now`; `held` is a place in the dispatch order that it has taken
    /// already.
    pub(super) fn entry(&self, held: Option<u64>, now: Duration) -> Entry {
        let mut state = lock(&self.state);
        if self.dispenser.is_stopped() {
            return Entry::Spent;
        }
        match state.limiter.permit(now) {
            Permit::Free => Entry::Open,
            Permit::Wait(until) => Entry::Wait(until),
            Permit::Probe(permit) => Entry::Probe(permit),
            Permit::Request(permit) => {
                let first = self.epochs.present().1.first_ticket;
                let held = held.filter(|&ticket| ticket >= first);
                match held.or_else(|| self.dispenser.take()) {
                    Some(ticket) => Entry::Request(ticket, permit),
                    None => Entry::Spent,
                }
            }
        }
    }

    /// Allows another request in place of this one, unless its epoch has ended.
    pub(super) fn replace(&self, ticket: u64) {
        if !self.is_closed() {
            self.dispenser.replace();
            return;
        }
        let _state = lock(&self.state);
        if ticket >= self.epochs.present().1.first_ticket {
            self.dispenser.replace();
        }
    }

    /// Takes a rejection of a request that came by the open turnstile.
    pub(super) fn rejected(
        &self,
        ticket: u64,
        now: Duration,
        rejection: Rejection,
        identified: bool,
    ) {
        let mut state = lock(&self.state);
        let limiter = &mut state.limiter;
        if limiter
            .rejected(ticket, now, rejection, identified)
            .is_some()
        {
            state.closed_at = now;
            self.is_closed.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the answer to what came by with a permit. Where it shows a limiter, a new epoch begins with a
    /// budget of its own.
    pub(super) fn answered(&self, plan: &Plan, permit: u32, now: Duration, answer: Answer) {
        let mut state = lock(&self.state);
        match state.limiter.answered(permit, now, answer) {
            None | Some(Change::Suspected) => {}
            Some(Change::Cleared) => {
                state.found = None;
                self.postpone(now.saturating_sub(state.closed_at));
                self.is_closed.store(false, Ordering::Relaxed);
            }
            Some(Change::Paced(found)) => {
                if self.dispenser.is_stopped() {
                    return;
                }
                state.found = Some(found);
                let first = self.dispenser.restart(&plan.budget);
                let epoch = Epoch::new(plan, &self.registry, first);
                self.epochs.begin(epoch);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
