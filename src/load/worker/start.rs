//! When a request loop sends its next request.

use std::sync::Arc;
use std::time::Instant;

use super::{NO_TICKET, RequestLoop};
use crate::load::Phase;
use crate::load::turnstile::Entry;

/// Leave to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// The place in the dispatch order; [`NO_TICKET`] for a probe.
    pub(super) ticket: u64,
    /// When it was due.
    pub(super) due: Instant,
    /// The permit of the turnstile, where that is closed.
    pub(super) permit: Option<u32>,
}

impl RequestLoop {
    /// Leave for the next request; `None` when there is none, or the run stops meanwhile.
    pub(super) async fn next_start(&mut self) -> Option<Start> {
        loop {
            if self.shared.turnstile.is_closed() {
                match self.pass_turnstile().await? {
                    Some(start) => return Some(start),
                    None => continue,
                }
            }
            let ticket = match self.held.take() {
                Some(ticket) => ticket,
                None => self.shared.turnstile.dispenser.take()?,
            };
            let due = self.wait_until_due(ticket).await?;
            if !self.shared.turnstile.is_closed() {
                return Some(Start {
                    ticket,
                    due,
                    permit: None,
                });
            }
            self.held = Some(ticket);
        }
    }

    /// Waits for a permit; `Some(None)` when the turnstile opened instead.
    async fn pass_turnstile(&mut self) -> Option<Option<Start>> {
        let shared = Arc::clone(&self.shared);
        let _head = tokio::select! {
            biased;
            _ = self.phase.wait_for(|&phase| phase != Phase::Run) => return None,
            head = shared.turnstile.head.lock() => head,
        };
        loop {
            let now = Instant::now();
            let since = now - shared.started;
            let start = |ticket, permit| Start {
                ticket,
                due: now,
                permit: Some(permit),
            };
            match shared.turnstile.entry(self.held, since) {
                Entry::Open => return Some(None),
                Entry::Spent => return None,
                Entry::Probe(permit) => return Some(Some(start(NO_TICKET, permit))),
                Entry::Request(ticket, permit) => {
                    self.held = None;
                    return Some(Some(start(ticket, permit)));
                }
                Entry::Wait(until) => {
                    self.sleep_until(shared.started.checked_add(until)?).await?;
                }
            }
        }
    }

    /// Waits; `None` when the run stops meanwhile.
    pub(super) async fn sleep_until(&mut self, then: Instant) -> Option<()> {
        tokio::select! {
            biased;
            _ = self.phase.wait_for(|&phase| phase != Phase::Run) => None,
            () = tokio::time::sleep_until(then.into()) => Some(()),
        }
    }

    /// Waits for the request's scheduled start, which is returned; `None` when the run stops meanwhile.
    async fn wait_until_due(&mut self, ticket: u64) -> Option<Instant> {
        let Some(rate) = self.shared.plan.load.rate else {
            return Some(Instant::now());
        };
        let planned = rate.due(ticket);
        let due = planned.checked_add(self.shared.turnstile.postponed())?;
        let due = self.shared.started.checked_add(due)?;
        self.sleep_until(due).await?;
        Some(due)
    }
}
