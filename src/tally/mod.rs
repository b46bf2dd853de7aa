//! What a run folds into: counts, latency and time blocks, in memory that does not grow with the run.
//!
//! Every client thread owns a [`Tally`] and records into it without a lock; at the end they merge.
//! Counts for the judgement are kept by *group* ([`Group`](crate::identity::assignment::Group): pods that are certainly one backend), since
//! which label a workload stands for may be known only when all of them have been seen.

pub mod addresses;
pub mod connections;
pub mod counted;
pub mod latency;
pub mod monitor;
pub mod pods;
pub mod sequence;
pub mod sessions;
pub mod set_aside;
pub mod signs;
pub mod windows;

use std::sync::Arc;

use crate::observation::{Failure, Observation, Outcome, PodId, status};
use connections::{Connections, OneConnection};
use latency::Latency;
use pods::{GroupId, Interner, PodRegistry};
use sequence::Sequence;
use windows::Windows;

/// Status codes are three digits; index `status` of a table with this many entries.
const STATUSES: usize = 1000;

/// What was seen of one group of pods.
#[derive(Debug, Clone, Default)]
pub struct GroupTally {
    /// Identified responses.
    pub observed: u64,
    /// Those of them whose status blames the server.
    pub errors: u64,
    pub latency: Latency,
}

/// The running sums of one client thread, or of a whole run once merged.
#[derive(Debug)]
pub struct Tally {
    interner: Interner,
    pods: Vec<u64>,
    groups: Vec<GroupTally>,
    by_status: Vec<u64>,
    unidentified_by_status: Vec<u64>,
    by_failure: [u64; Failure::ALL.len()],
    /// The latencies of responses without an identity; the groups have the others.
    unidentified_latency: Latency,
    windows: Windows,
    sequence: Arc<Sequence>,
    connections: Connections,
}

impl Tally {
    /// An empty tally that interns pod names in `registry` and remembers the order in `sequence`.
    pub fn new(registry: Arc<PodRegistry>, sequence: Arc<Sequence>) -> Self {
        Self {
            interner: Interner::new(registry),
            pods: Vec::new(),
            groups: Vec::new(),
            by_status: vec![0; STATUSES],
            unidentified_by_status: vec![0; STATUSES],
            by_failure: [0; Failure::ALL.len()],
            unidentified_latency: Latency::default(),
            windows: Windows::default(),
            sequence,
            connections: Connections::default(),
        }
    }

    /// Forgets what was counted and begins again, with the same numbers for pods.
    pub fn start_over(&mut self, sequence: Arc<Sequence>) {
        let registry = Arc::clone(self.interner.registry());
        let fresh = Self::new(registry, sequence);
        let counted = std::mem::replace(self, fresh);
        self.interner = counted.interner;
    }

    /// The number that stands for the pod called `name`, the same in every tally of this registry.
    pub fn intern(&mut self, name: &str) -> PodId {
        self.interner.intern(name)
    }

    /// Counts one request.
    pub fn record(&mut self, observation: &Observation) {
        match observation.outcome {
            Outcome::Responded { status, pod } => {
                let row = usize::from(status).min(STATUSES - 1);
                self.by_status[row] += 1;
                if let Some(pod) = pod {
                    self.record_identified(observation, pod, status);
                } else {
                    self.unidentified_by_status[row] += 1;
                    self.unidentified_latency.record(observation.latency);
                    self.windows
                        .record_unidentified(observation.ticket, observation.dispatched);
                }
            }
            Outcome::Failed(failure) => {
                self.by_failure[failure as usize] += 1;
                if failure.was_sent() {
                    self.windows
                        .record_unidentified(observation.ticket, observation.dispatched);
                }
            }
        }
    }

    /// The group of a pod that this tally has interned.
    pub fn group(&self, pod: PodId) -> usize {
        let GroupId(group) = self.interner.group(pod);
        usize::from(group)
    }

    /// Folds in a connection that carried several requests and has closed.
    pub fn close(&mut self, connection: OneConnection) {
        self.connections.close(connection);
    }

    fn record_identified(&mut self, observation: &Observation, pod: PodId, status: u16) {
        let group = self.group(pod);
        grow(&mut self.pods, usize::from(pod.0));
        grow(&mut self.groups, group);
        self.pods[usize::from(pod.0)] += 1;
        let tally = &mut self.groups[group];
        tally.observed += 1;
        tally.errors += u64::from(status::is_error(status));
        tally.latency.record(observation.latency);
        self.windows
            .record(observation.ticket, group, observation.dispatched);
        self.sequence.record(observation.ticket, group);
    }

    /// Adds what another thread of the same run counted; the order of merging does not matter.
    pub fn merge(&mut self, other: &Self) {
        grow(&mut self.pods, other.pods.len().saturating_sub(1));
        add(&mut self.pods, &other.pods);
        grow(&mut self.groups, other.groups.len().saturating_sub(1));
        for (mine, theirs) in self.groups.iter_mut().zip(&other.groups) {
            mine.observed += theirs.observed;
            mine.errors += theirs.errors;
            mine.latency.merge(&theirs.latency);
        }
        add(&mut self.by_status, &other.by_status);
        add(
            &mut self.unidentified_by_status,
            &other.unidentified_by_status,
        );
        add(&mut self.by_failure, &other.by_failure);
        self.unidentified_latency.merge(&other.unidentified_latency);
        self.windows.merge(&other.windows);
        self.connections.merge(&other.connections);
    }

    /// The registry that names this tally's pods and groups.
    pub fn registry(&self) -> &PodRegistry {
        self.interner.registry()
    }

    /// What was seen by group; `groups()[id]` belongs to [`GroupId`] `id`.
    pub fn groups(&self) -> &[GroupTally] {
        &self.groups
    }

    /// Identified responses: what counts towards the n asked for.
    pub fn attributed(&self) -> u64 {
        self.groups.iter().map(|group| group.observed).sum()
    }

    /// Requests that were written and got no identity: responses that name no pod, and failures after
    /// the request was written. `attributed() + unattributed()` is the number of requests sent.
    pub fn unattributed(&self) -> u64 {
        self.unidentified_by_status.iter().sum::<u64>() + self.failures(Failure::was_sent)
    }

    /// `(status, responses)` for every status that occurred, ascending.
    pub fn by_status(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        occurring(&self.by_status)
    }

    /// `(status, responses without an identity)` for every status that occurred so, ascending.
    pub fn unidentified_by_status(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        occurring(&self.unidentified_by_status)
    }

    /// `(kind, requests)` for every kind of failure that occurred.
    pub fn by_failure(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        let counted = Failure::ALL.into_iter().zip(self.by_failure);
        counted.filter(|&(_, count)| count > 0)
    }

    fn failures(&self, counts: impl Fn(Failure) -> bool) -> u64 {
        self.by_failure()
            .filter(|&(failure, _)| counts(failure))
            .map(|(_, count)| count)
            .sum()
    }
}

fn occurring(counts: &[u64]) -> impl Iterator<Item = (u16, u64)> + '_ {
    (0u16..)
        .zip(counts.iter().copied())
        .filter(|&(_, count)| count > 0)
}

fn add(into: &mut [u64], from: &[u64]) {
    for (mine, theirs) in into.iter_mut().zip(from) {
        *mine += theirs;
    }
}

/// Counts by group, where group `g` is called `numbers[g]`; groups beyond it keep their number.
fn renumbered<T: Copy + Default + std::ops::AddAssign>(counts: &[T], numbers: &[usize]) -> Vec<T> {
    let mut renumbered = Vec::new();
    for (group, &count) in counts.iter().enumerate() {
        let number = numbers.get(group).copied().unwrap_or(group);
        grow(&mut renumbered, number);
        renumbered[number] += count;
    }
    renumbered
}

/// Adds to the count at `index`, which is 0 where the table ends before it.
pub fn count(counts: &mut Vec<u64>, index: usize, number: u64) {
    grow(counts, index);
    counts[index] += number;
}

/// Makes `index` a valid index.
fn grow<T: Default + Clone>(table: &mut Vec<T>, index: usize) {
    if table.len() <= index {
        table.resize(index + 1, T::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::assignment::Mappings;
    use std::time::Duration;

    fn registry() -> Arc<PodRegistry> {
        PodRegistry::shared(Mappings::parse(&[], &[]).unwrap())
    }

    fn observed(ticket: u64, outcome: Outcome) -> Observation {
        Observation {
            ticket,
            outcome,
            dispatched: Duration::from_millis(ticket),
            latency: Duration::from_millis(3),
        }
    }

    fn responded(status: u16, pod: Option<PodId>) -> Outcome {
        Outcome::Responded { status, pod }
    }

    #[test]
    fn an_identified_503_counts_for_its_pod_and_as_an_error() {
        let mut tally = Tally::new(registry(), Arc::default());
        let pod = tally.intern("web-0");
        tally.record(&observed(0, responded(503, Some(pod))));
        assert_eq!(tally.attributed(), 1);
        assert_eq!(tally.groups()[0].errors, 1);
        assert_eq!(tally.by_status().collect::<Vec<_>>(), [(503, 1)]);
        assert_eq!(tally.unidentified_by_status().count(), 0);
    }

    #[test]
    fn every_request_is_attributed_unattributed_or_never_sent() {
        let mut tally = Tally::new(registry(), Arc::default());
        let pod = tally.intern("web-0");
        tally.record(&observed(0, responded(200, Some(pod))));
        tally.record(&observed(1, responded(200, None)));
        for (ticket, failure) in (2..).zip(Failure::ALL) {
            tally.record(&observed(ticket, Outcome::Failed(failure)));
        }
        assert_eq!(tally.attributed(), 1);
        assert_eq!(tally.unattributed(), 1 + 5);
        assert_eq!(tally.at_rest().never_sent(), 4);
        assert_eq!(tally.at_rest().responses(), 2);
    }

    #[test]
    fn threads_that_merge_agree_with_one_that_saw_it_all() {
        let registry = self::registry();
        let mut whole = Tally::new(Arc::clone(&registry), Arc::default());
        let mut parts = [
            Tally::new(Arc::clone(&registry), Arc::default()),
            Tally::new(Arc::clone(&registry), Arc::default()),
        ];
        for ticket in 0..500_u64 {
            let name = format!("app-{}", ticket % 7);
            let part = &mut parts[usize::from(ticket % 3 == 0)];
            for tally in [&mut whole, part] {
                let pod = tally.intern(&name);
                tally.record(&observed(ticket, responded(200, Some(pod))));
            }
        }
        let [mut merged, other] = parts;
        merged.merge(&other);
        assert_eq!(merged.pods, whole.pods);
        assert_eq!(merged.attributed(), 500);
        assert_eq!(merged.at_rest().windows, whole.at_rest().windows);
        assert_eq!(
            merged.at_rest().latency().quantile(0.5),
            whole.at_rest().latency().quantile(0.5)
        );
    }
}
