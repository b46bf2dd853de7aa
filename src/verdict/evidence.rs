//! What was counted, as far as it matters for the split, and how it reads under one assignment of the groups.

use super::clusters::{Clusters, judge_clustered};
use super::decision::{Counts, Judged, Method, Shared, judge_sequential};
use super::order::under_order;
use super::{decision, unmeasured};
use crate::claim::Claim;
use crate::identity::assignment::{Backend, Group};
use crate::measured::{Measured, PartCounts};
use crate::split::Split;
use crate::tally::connections::Connections;
use crate::tally::monitor::Standing;
use crate::tally::sequence::group_of;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The groups of pods that answered.
    pub groups: Vec<Group>,
    /// Identified responses; `observed[g]` belongs to `groups[g]`.
    pub observed: Vec<u64>,
    /// Requests that were written and got no identity.
    pub unattributed: u64,
    /// Whether others sent the requests, so that no option asks for more of them.
    pub is_given: bool,
    /// Why fewer requests were attributed than planned, as the end of a sentence; `None` when enough were.
    pub cut_short: Option<String>,
    /// The connections, where they could carry several requests, or the clients of a log; cells are groups.
    pub connections: Option<Connections>,
    /// Which of the two.
    pub shared_by: Shared,
    /// Responses by group over blocks of the order: `windows[b][g]`, missing entries 0.
    pub windows: Vec<Vec<u64>>,
    /// Which order that is.
    pub ordered_by: OrderedBy,
    /// The groups of the first responses, in dispatch order; see [`group_of`].
    pub sequence: Vec<u16>,
    /// Where a sequential run stopped; its counts are judged instead of `observed`.
    pub standing: Option<Standing>,
    /// What each shard saw, of a run that several shared; empty for others.
    pub shards: Vec<PartCounts>,
    /// What each address of the target answered, where connections carried one request each.
    pub addresses: Vec<PartCounts>,
    /// Their names.
    pub address_names: Vec<String>,
}

/// What the order of responses is that of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderedBy {
    /// Their requests.
    #[default]
    Dispatch,
    /// Themselves, as in a log: it clumps where backends differ in speed, and says nothing of bursts.
    End,
}

/// What the responses of a group count as that is no backend of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubtful {
    Foreign,
    Unattributed,
}

impl Evidence {
    /// What a run counted, as far as it matters for the split.
    pub(super) fn of(measured: &Measured) -> Self {
        let counted = &measured.counted;
        let groups = counted.groups.iter();
        let blocks = counted.windows.blocks().iter();
        Self {
            groups: groups.map(|counted| counted.group.clone()).collect(),
            observed: counted.observed(),
            unattributed: counted.unattributed(),
            is_given: false,
            cut_short: unmeasured::cut_short(measured),
            connections: (!measured.trial.connection_use.is_fresh())
                .then(|| counted.connections.clone()),
            shared_by: Shared::Connection,
            windows: blocks.map(|block| block.counts.clone()).collect(),
            ordered_by: OrderedBy::Dispatch,
            sequence: counted.sequence.clone(),
            standing: measured.standing.clone(),
            shards: measured.parts.clone(),
            addresses: by_address(measured),
            address_names: measured.addresses.iter().map(ToString::to_string).collect(),
        }
    }

    /// The tests under one assignment of the groups.
    pub(super) fn judge(&self, claim: &Claim, backends: &[Backend], others: Doubtful) -> Judged {
        let Claim { split, .. } = claim;
        let total = counts(split, &self.observed, self.unattributed, backends, others);
        if let Some(standing) = &self.standing {
            let (observed, missing) = (&standing.observed, standing.unattributed);
            let looked_at = counts(split, observed, missing, backends, others);
            let judged = judge_sequential(claim, looked_at, &total, standing);
            return match standing.order {
                Some(_) => judged,
                None => self.under_order(claim, judged, backends),
            };
        }
        match &self.connections {
            Some(connections) => {
                let windows = self.observed_windows(split, backends);
                let clusters = Clusters {
                    shared_by: self.shared_by,
                    ..clusters(split, connections, backends, windows)
                };
                let judged = judge_clustered(claim, total, &clusters);
                match judged.method {
                    Some(Method::FirstResponse) => judged,
                    _ => self.under_order(claim, judged, backends),
                }
            }
            None => self.under_order(claim, decision::judge(claim, total), backends),
        }
    }

    fn under_order(&self, claim: &Claim, judged: Judged, backends: &[Backend]) -> Judged {
        if self.ordered_by == OrderedBy::End {
            return judged;
        }
        let windows = self.observed_windows(&claim.split, backends);
        under_order(claim, judged, &windows, || self.labels(backends))
    }

    /// The backends of the first identified responses, in dispatch order; `u16::MAX` stands for none.
    pub(super) fn labels(&self, backends: &[Backend]) -> Vec<u16> {
        let label = |group: usize| {
            let backend = backends.get(group).copied().flatten();
            backend.map_or(u16::MAX, |backend| {
                u16::try_from(backend).unwrap_or(u16::MAX)
            })
        };
        let groups = self.sequence.iter().copied().filter_map(group_of);
        groups.map(label).collect()
    }

    /// The counts that are judged, by backend.
    pub(super) fn seen(&self, split: &Split, backends: &[Backend]) -> Counts {
        let (observed, missing) = match &self.standing {
            Some(standing) => (&standing.observed, standing.unattributed),
            None => (&self.observed, self.unattributed),
        };
        counts(split, observed, missing, backends, Doubtful::Foreign)
    }

    pub(super) fn windows_by_backend(&self, split: &Split, backends: &[Backend]) -> Vec<Counts> {
        let row = |by_group: &Vec<u64>| counts(split, by_group, 0, backends, Doubtful::Foreign);
        self.windows.iter().map(row).collect()
    }

    /// The responses of the backends alone, in each block of the dispatch order.
    pub(super) fn observed_windows(&self, split: &Split, backends: &[Backend]) -> Vec<Vec<u64>> {
        let windows = self.windows_by_backend(split, backends).into_iter();
        windows.map(|window| window.observed).collect()
    }
}

/// What each address answered. Of connections that carry several requests the responses are not independent:
/// then it cannot be told whether addresses differ.
fn by_address(measured: &Measured) -> Vec<PartCounts> {
    if !measured.trial.connection_use.is_fresh() {
        return Vec::new();
    }
    let addresses = (0..).zip(&measured.addresses);
    addresses
        .map(|(index, _)| PartCounts {
            index,
            observed: measured.by_address.get(index as usize).observed,
        })
        .collect()
}

/// The counts by backend where group `g` is backend `backends[g]`.
pub(super) fn counts(
    split: &Split,
    observed: &[u64],
    unattributed: u64,
    backends: &[Backend],
    others: Doubtful,
) -> Counts {
    let mut counts = Counts {
        observed: vec![0; split.len()],
        foreign: 0,
        unattributed,
    };
    for (backend, &observed) in backends.iter().zip(observed) {
        match (backend, others) {
            (Some(backend), _) => counts.observed[*backend] += observed,
            (None, Doubtful::Foreign) => counts.foreign += observed,
            (None, Doubtful::Unattributed) => counts.unattributed += observed,
        }
    }
    counts
}

/// The connections by backend; a further cell stands for groups that are no backend of the split.
fn clusters(
    split: &Split,
    connections: &Connections,
    backends: &[Backend],
    windows: Vec<Vec<u64>>,
) -> Clusters {
    let cells = split.len() + 1;
    let cell_of: Vec<usize> = (0..connections.sums().observed().len().max(backends.len()))
        .map(|group| {
            backends
                .get(group)
                .copied()
                .flatten()
                .unwrap_or(split.len())
        })
        .collect();
    let mut sample = vec![0; cells * connections.sample().len()];
    for (row, by_group) in sample.chunks_exact_mut(cells).zip(connections.sample()) {
        for (&cell, &count) in cell_of.iter().zip(by_group) {
            row[cell] += count;
        }
    }
    Clusters {
        sums: connections.sums().pool(&cell_of, cells),
        sample,
        windows,
        shared_by: Shared::Connection,
    }
}
