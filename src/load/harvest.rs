//! What one client thread, or the whole run once merged, has to tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::board::SoFar;
use super::buffer::BodyEnd;
use super::epoch::Epoch;
use super::shared::Shared;
use crate::identity::encoding;
use crate::identity::rule::{Answer, before_the_cut};
use crate::measured::{Connections, UnidentifiedSample};
use crate::observation::{Failure, Observation, Outcome, PodId, status};
use crate::plan::target::Protocol;
use crate::tally::Tally;
use crate::tally::addresses::Addresses;
use crate::tally::pods::PodRegistry;
use crate::tally::sessions::Sessions;
use crate::tally::set_aside::{Reason, SetAside};
use crate::tally::signs::Signs;

/// Stands for whoever answered a marked request, until the logs tell.
const IN_THE_LOGS: &str = "(in the logs)";
/// How many bytes of an unidentified body are kept to show a person.
const SAMPLE_BYTES: usize = 2048;

/// A response that was read, as far as HTTP goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    pub status: u16,
    pub end: BodyEnd,
}

/// Counts, and what else a person may want to know.
#[derive(Debug)]
pub(super) struct Harvest {
    /// Of the present epoch alone.
    pub tally: Tally,
    pub epoch: Arc<Epoch>,
    pub epoch_number: u32,
    pub set_aside: SetAside,
    pub connections: Connections,
    /// Without what is set aside, but for the connections.
    pub addresses: Addresses,
    /// The first message of each kind of failure.
    pub failure_messages: BTreeMap<Failure, String>,
    pub sample: Option<UnidentifiedSample>,
    pub signs: Signs,
    pub sessions: Sessions,
    /// Requests begun and not yet recorded.
    pub in_flight: u64,
    /// Connections that are open.
    pub open: u64,
}

impl Harvest {
    pub(super) fn new(
        registry: Arc<PodRegistry>,
        (epoch_number, epoch): (u32, Arc<Epoch>),
    ) -> Self {
        Self {
            tally: Tally::new(registry, Arc::clone(&epoch.sequence)),
            epoch,
            epoch_number,
            set_aside: SetAside::default(),
            connections: Connections::default(),
            addresses: Addresses::default(),
            failure_messages: BTreeMap::new(),
            sample: None,
            signs: Signs::default(),
            sessions: Sessions::default(),
            in_flight: 0,
            open: 0,
        }
    }

    /// Sets aside what was counted in an epoch that has ended; the number of the present one.
    pub(super) fn keep_up(&mut self, shared: &Shared) -> u32 {
        if self.epoch_number != shared.turnstile.epochs.number.load(Ordering::Relaxed) {
            (self.epoch_number, self.epoch) = shared.turnstile.epochs.present();
            self.set_aside.add_run(Reason::BeforePacing, &self.tally);
            self.tally.start_over(Arc::clone(&self.epoch.sequence));
            self.addresses.start_over();
        }
        self.epoch_number
    }

    /// Writes down how far this thread has got.
    pub(super) fn put_up(&self, so_far: &mut SoFar) {
        let observed = self.tally.groups().iter().map(|group| group.observed);
        so_far.by_group.clear();
        so_far.by_group.extend(observed);
        so_far.unattributed = self.tally.unattributed();
        so_far.failed = self.tally.by_failure().map(|(_, count)| count).sum();
    }

    /// Counts a connection to one of the run's addresses.
    pub(super) fn opened(&mut self, address: usize) {
        self.open += 1;
        self.connections.opened += 1;
        self.connections.most_open = self.connections.most_open.max(self.open);
        self.addresses.connected(address);
    }

    /// Adds what another thread harvested in the same epoch.
    pub(super) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.set_aside.merge(&other.set_aside);
        self.signs.merge(other.signs);
        self.sessions.merge(other.sessions.clone());
        self.addresses.merge(&other.addresses);
        self.connections.opened += other.connections.opened;
        self.connections.reopened += other.connections.reopened;
        self.connections.most_open += other.connections.most_open;
        for (&failure, message) in &other.failure_messages {
            let messages = &mut self.failure_messages;
            messages.entry(failure).or_insert_with(|| message.clone());
        }
        self.sample = match (self.sample.take(), other.sample.clone()) {
            (Some(mine), Some(theirs)) if theirs.ticket < mine.ticket => Some(theirs),
            (None, theirs) => theirs,
            (mine, _) => mine,
        };
    }

    /// The same as it is now, while this one goes on.
    pub(super) fn copied(&self, shared: &Shared) -> Self {
        let epoch = (self.epoch_number, Arc::clone(&self.epoch));
        let mut copy = Self::new(Arc::clone(&shared.registry), epoch);
        copy.merge(self);
        copy
    }

    /// Keeps the first message of a kind of failure.
    pub(super) fn tell(&mut self, observation: &Observation, message: impl Into<String>) {
        if let Outcome::Failed(failure) = observation.outcome {
            self.failure_messages
                .entry(failure)
                .or_insert_with(|| message.into());
        }
    }

    /// Who answered.
    pub(super) fn identify(
        &mut self,
        shared: &Shared,
        ticket: u64,
        Received { status, end }: Received,
        answer: Answer<'_>,
    ) -> Option<PodId> {
        let Answer { headers, body, .. } = answer;
        self.signs.record(headers);
        if self.signs.cached == 1 {
            shared.cached.store(true, Ordering::Relaxed);
        }
        if shared.plan.mark.is_some() {
            let refused = status::is_too_many(status) || status::is_unavailable(status);
            if !refused {
                shared.identified.store(true, Ordering::Relaxed);
            }
            return (!refused).then(|| self.tally.intern(IN_THE_LOGS));
        }
        let plain = encoding::decoded(headers, body, shared.plan.load.max_body);
        let body = plain.as_deref().unwrap_or_default();
        let unharmed = match end {
            BodyEnd::Whole => body,
            BodyEnd::Truncated => before_the_cut(body),
        };
        let looked_at = Answer {
            body: unharmed,
            ..answer
        };
        let known = shared.plan.rules.identify_in(looked_at);
        // The bytes of a message say what stands beside a name, too.
        let is_message = shared.plan.target.protocol == Protocol::Grpc;
        let text = if is_message { &[][..] } else { unharmed };
        let name = known.or_else(|| shared.finder.identify(status, answer.headers, text));
        if let Some(name) = name {
            shared.finder.heed(&name, status, answer.headers, text);
            if self.tally.attributed() == 0 {
                shared.identified.store(true, Ordering::Relaxed);
            }
            return Some(self.tally.intern(&name));
        }
        if self
            .sample
            .as_ref()
            .is_none_or(|sample| ticket < sample.ticket)
        {
            let sample = UnidentifiedSample {
                ticket,
                status,
                headers: headers.to_map(),
                body: body[..body.len().min(SAMPLE_BYTES)].to_vec(),
            };
            shared.unidentified(&sample);
            self.sample = Some(sample);
        }
        None
    }
}
