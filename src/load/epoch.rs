//! What counts for the split: the requests since the run began, or since a rate limiter is kept to.

use std::sync::{Arc, Mutex};

use crate::plan::Plan;
use crate::tally::monitor::Monitor;
use crate::tally::pods::PodRegistry;
use crate::tally::sequence::Sequence;

/// Requests that are judged together; what was counted before it is set aside.
#[derive(Debug)]
pub(super) struct Epoch {
    /// Requests with a place in the dispatch order before this one do not belong to it.
    pub first_ticket: u64,
    /// Who answered, in dispatch order from `first_ticket` on.
    pub sequence: Arc<Sequence>,
    /// Looks at the results as they come, in a run that stops when the evidence is enough.
    pub monitor: Option<Mutex<Monitor>>,
}

impl Epoch {
    pub(super) fn new(plan: &Plan, registry: &Arc<PodRegistry>, first_ticket: u64) -> Arc<Self> {
        let budget = &plan.budget;
        let requests = budget.requests.map(std::num::NonZeroU64::get);
        let most_tickets = requests.map_or(u64::MAX, |n| n.saturating_add(budget.replacements()));
        let monitor = plan.sequential.then(|| {
            Mutex::new(Monitor::new(
                plan.claim.clone(),
                Arc::clone(registry),
                requests.unwrap_or(u64::MAX),
                usize::try_from(most_tickets).unwrap_or(usize::MAX),
            ))
        });
        Arc::new(Self {
            first_ticket,
            sequence: Arc::new(Sequence::new(plan.place(most_tickets))),
            monitor,
        })
    }
}
