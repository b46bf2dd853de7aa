//! A tally at rest: plain sums, which add up across the threads, processes and machines of a run.

use std::collections::BTreeMap;

use super::Tally;
use super::connections::Connections;
use super::latency::Latency;
use super::pods::{GroupId, MAX_GROUPS, MAX_PODS, levels};
use super::sequence::{REMEMBERED, code_of, group_of};
use super::windows::Windows;
use crate::identity::assignment::Group;
use crate::observation::Failure;

/// The sums of a tally. Indices of groups, here and in `windows`, `sequence` and `connections`, are those of
/// `groups`.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// The groups that answered.
    pub groups: Vec<GroupCounted>,
    /// Whole responses by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Whole responses without an identity by status.
    pub unidentified_by_status: BTreeMap<u16, u64>,
    /// Requests without a whole response by kind of failure.
    pub by_failure: BTreeMap<Failure, u64>,
    /// The latencies of whole responses without an identity.
    pub unidentified_latency: Latency,
    /// Counts over blocks of the dispatch order.
    pub windows: Windows,
    /// A number for each of the first requests; see [`group_of`].
    pub sequence: Vec<u16>,
    /// The closed connections that could carry several requests.
    pub connections: Connections,
}

/// The sums of one group.
#[derive(Debug, Clone)]
pub struct GroupCounted {
    /// Which group.
    pub group: Group,
    /// Identified responses by pod.
    pub pods: BTreeMap<String, u64>,
    /// Identified responses whose status blames the server.
    pub errors: u64,
    /// The latencies of identified responses.
    pub latency: Latency,
}

impl GroupCounted {
    fn nothing(group: Group) -> Self {
        Self {
            group,
            pods: BTreeMap::new(),
            errors: 0,
            latency: Latency::default(),
        }
    }

    /// Identified responses.
    pub fn observed(&self) -> u64 {
        self.pods.values().sum()
    }
}

/// What adding the sums of another process did.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// The numbers here of the other's groups.
    numbers: Vec<usize>,
    /// The other's identified responses by the groups here.
    pub observed: Vec<u64>,
    /// The first responses of its connections, by the groups here.
    pub first_responses: Vec<u64>,
}

impl Added {
    /// Counts by the other's groups as counts by those here.
    pub fn renumbered(&self, counts: &[u64]) -> Vec<u64> {
        super::renumbered(counts, &self.numbers)
    }
}

impl Tally {
    /// What this tally has counted.
    pub fn at_rest(&self) -> Counted {
        let registry = self.registry();
        let known = registry.groups().into_iter().enumerate();
        let mut groups: Vec<GroupCounted> = known
            .map(|(index, group)| {
                let tally = self.groups.get(index).cloned().unwrap_or_default();
                GroupCounted {
                    errors: tally.errors,
                    latency: tally.latency,
                    ..GroupCounted::nothing(group)
                }
            })
            .collect();
        for ((name, GroupId(group)), &observed) in registry.pods().into_iter().zip(&self.pods) {
            if observed > 0 {
                *groups[usize::from(group)].pods.entry(name).or_default() += observed;
            }
        }
        Counted {
            groups,
            by_status: self.by_status().collect(),
            unidentified_by_status: self.unidentified_by_status().collect(),
            by_failure: self.by_failure().collect(),
            unidentified_latency: self.unidentified_latency.clone(),
            windows: self.windows.clone(),
            sequence: self.sequence.codes(),
            connections: self.connections.clone(),
        }
    }
}

impl Counted {
    /// Adds what another process counted.
    ///
    /// Its places in the dispatch order must be those of the same run, and nobody else's.
    pub fn add(&mut self, other: &Self) -> Added {
        let groups = other.groups.iter();
        let numbers: Vec<usize> = groups.map(|theirs| self.add_group(theirs)).collect();
        let observed: Vec<u64> = other.groups.iter().map(GroupCounted::observed).collect();
        add(&mut self.by_status, &other.by_status);
        add(
            &mut self.unidentified_by_status,
            &other.unidentified_by_status,
        );
        add(&mut self.by_failure, &other.by_failure);
        self.unidentified_latency.merge(&other.unidentified_latency);
        self.windows.merge(&other.windows.renumbered(&numbers));
        let places = other.sequence.iter().take(REMEMBERED).enumerate();
        for (place, &code) in places {
            if let Some(group) = group_of(code) {
                super::grow(&mut self.sequence, place);
                self.sequence[place] = code_of(numbers.get(group).copied().unwrap_or(group));
            }
        }
        let connections = other.connections.renumbered(&numbers, self.groups.len());
        let first_responses = connections.sums().first_responses().to_vec();
        self.connections.merge(&connections);
        Added {
            observed: super::renumbered(&observed, &numbers),
            first_responses,
            numbers,
        }
    }

    /// Adds one group, and returns its number here.
    fn add_group(&mut self, theirs: &GroupCounted) -> usize {
        if theirs.pods.is_empty() {
            // A group that nobody answered for has nothing to add.
            return 0;
        }
        let number = self.number_of(&theirs.group);
        let mut told_apart: usize = self.groups.iter().map(|group| group.pods.len()).sum();
        let mine = &mut self.groups[number];
        for (name, observed) in &theirs.pods {
            if let Some(known) = mine.pods.get_mut(name) {
                *known += observed;
            } else if told_apart < MAX_PODS {
                told_apart += 1;
                mine.pods.insert(name.clone(), *observed);
            } else {
                let rest = super::pods::others_of(&mine.group);
                *mine.pods.entry(rest).or_default() += observed;
            }
        }
        mine.errors += theirs.errors;
        mine.latency.merge(&theirs.latency);
        number
    }

    /// The number of a group, or of the rest of its workload, or of the rest of all.
    fn number_of(&mut self, group: &Group) -> usize {
        for (group, most) in levels(group, MAX_GROUPS) {
            let known = self.groups.iter().position(|known| known.group == group);
            if let Some(number) = known {
                return number;
            }
            if self.groups.len() < most {
                self.groups.push(GroupCounted::nothing(group));
                return self.groups.len() - 1;
            }
        }
        unreachable!("the last level has no limit")
    }

    /// Identified responses by group.
    pub fn observed(&self) -> Vec<u64> {
        self.groups.iter().map(GroupCounted::observed).collect()
    }

    /// Identified responses: what counts towards the n asked for.
    pub fn attributed(&self) -> u64 {
        self.groups.iter().map(GroupCounted::observed).sum()
    }

    /// Requests that were written and got no identity: responses that name no pod, and failures after
    /// the request was written. `attributed() + unattributed()` is the number of requests sent.
    pub fn unattributed(&self) -> u64 {
        self.unidentified() + self.failures(Failure::was_sent)
    }

    /// Whole responses without an identity.
    pub fn unidentified(&self) -> u64 {
        self.unidentified_by_status.values().sum()
    }

    /// Requests that were never written, since no connection came about.
    pub fn never_sent(&self) -> u64 {
        self.failures(|failure| !failure.was_sent())
    }

    /// Whole responses, identified or not.
    pub fn responses(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// Requests without a whole response, for a kind of reason.
    pub fn failures(&self, counts: impl Fn(Failure) -> bool) -> u64 {
        let kinds = self.by_failure.iter();
        kinds
            .filter(|&(&failure, _)| counts(failure))
            .map(|(_, count)| count)
            .sum()
    }

    /// The latencies of all whole responses.
    pub fn latency(&self) -> Latency {
        let mut all = self.unidentified_latency.clone();
        for group in &self.groups {
            all.merge(&group.latency);
        }
        all
    }
}

fn add<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (&key, count) in from {
        *into.entry(key).or_default() += count;
    }
}
