//! What a tally tells of itself, so that another process can add it to its own: the shards of a run.

use super::Tally;
use super::connections::Connections;
use super::latency::Latency;
use super::pods::GroupId;
use super::sequence::group_of;
use super::windows::Windows;
use crate::identity::assignment::Group;
use crate::observation::Failure;

/// The sums of a tally. Indices of groups, here and in `windows`, `sequence` and `connections`, are those of
/// `groups`.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The groups that answered.
    pub groups: Vec<GroupAccount>,
    /// `(status, responses)`.
    pub by_status: Vec<(u16, u64)>,
    /// `(status, responses without an identity)`.
    pub unidentified_by_status: Vec<(u16, u64)>,
    /// `(kind, requests)`.
    pub by_failure: Vec<(Failure, u64)>,
    /// The latencies of whole responses without an identity.
    pub unidentified_latency: Latency,
    /// Counts over blocks of the dispatch order.
    pub windows: Windows,
    /// A byte for each of the first requests; see [`group_of`].
    pub sequence: Vec<u8>,
    /// The closed connections that could carry several requests.
    pub connections: Connections,
}

/// The sums of one group.
#[derive(Debug, Clone)]
pub struct GroupAccount {
    /// Which group.
    pub group: Group,
    /// `(name, identified responses)` of its pods.
    pub pods: Vec<(String, u64)>,
    /// Identified responses with a status of 500 or more.
    pub errors: u64,
    /// The latencies of identified responses.
    pub latency: Latency,
}

impl GroupAccount {
    /// Identified responses.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.pods.iter().map(|(_, observed)| observed).sum()
    }
}

/// What adding an account did.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// This tally's numbers of the account's groups.
    numbers: Vec<usize>,
    /// The account's identified responses by this tally's groups.
    pub observed: Vec<u64>,
    /// The first responses of its connections, by this tally's groups.
    pub first_responses: Vec<u64>,
}

impl Added {
    /// Counts by the account's groups as counts by this tally's.
    #[must_use]
    pub fn renumbered(&self, counts: &[u64]) -> Vec<u64> {
        super::renumbered(counts, &self.numbers)
    }
}

impl Tally {
    /// What this tally has counted.
    #[must_use]
    pub fn account(&self) -> Account {
        let registry = self.registry();
        let known = registry.groups().into_iter().enumerate();
        let mut groups: Vec<GroupAccount> = known
            .map(|(index, group)| {
                let tally = self.groups.get(index).cloned().unwrap_or_default();
                GroupAccount {
                    group,
                    pods: Vec::new(),
                    errors: tally.errors,
                    latency: tally.latency,
                }
            })
            .collect();
        for ((name, GroupId(group)), &observed) in registry.pods().into_iter().zip(&self.pods) {
            if observed > 0 {
                groups[usize::from(group)].pods.push((name, observed));
            }
        }
        Account {
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

    /// Adds what another process counted.
    ///
    /// Its places in the dispatch order must be those of the same run, and nobody else's.
    pub fn add_account(&mut self, account: &Account) -> Added {
        let groups = account.groups.iter();
        let numbers: Vec<usize> = groups.map(|theirs| self.add_group(theirs)).collect();
        let observed: Vec<u64> = account.groups.iter().map(GroupAccount::observed).collect();
        let by_status = [
            (&mut self.by_status, &account.by_status),
            (
                &mut self.unidentified_by_status,
                &account.unidentified_by_status,
            ),
        ];
        for (mine, theirs) in by_status {
            for &(status, count) in theirs {
                mine[usize::from(status).min(super::STATUSES - 1)] += count;
            }
        }
        for &(failure, count) in &account.by_failure {
            self.by_failure[failure as usize] += count;
        }
        self.unidentified_latency
            .merge(&account.unidentified_latency);
        self.windows.merge(&account.windows.renumbered(&numbers));
        for (place, &code) in (0..).zip(&account.sequence) {
            if let Some(group) = group_of(code) {
                let number = numbers.get(group).copied().unwrap_or(group);
                self.sequence.record(place, number);
            }
        }
        let connections = account.connections.renumbered(&numbers, self.groups.len());
        let first_responses = connections.sums().first_responses().to_vec();
        self.connections.merge(&connections);
        Added {
            observed: super::renumbered(&observed, &numbers),
            first_responses,
            numbers,
        }
    }

    /// Adds one group, and returns its number here.
    fn add_group(&mut self, theirs: &GroupAccount) -> usize {
        let mut number = None;
        for (name, observed) in &theirs.pods {
            let pod = self.interner.intern_in(name, &theirs.group);
            super::grow(&mut self.pods, usize::from(pod.0));
            self.pods[usize::from(pod.0)] += observed;
            let group = self.group(pod);
            super::grow(&mut self.groups, group);
            self.groups[group].observed += observed;
            number = Some(group);
        }
        let Some(number) = number else {
            // A group that nobody answered for has nothing to add.
            return 0;
        };
        let mine = &mut self.groups[number];
        mine.errors += theirs.errors;
        mine.latency.merge(&theirs.latency);
        number
    }
}
