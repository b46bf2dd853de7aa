//! Requests that were sent and do not count for the split, kept visible: by reason, by status, by failure.

use std::collections::BTreeMap;

use super::Tally;
use super::counted::Added;
use crate::observation::{Failure, Observation, Outcome, status};

/// Why requests do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// They found out how many pods there are.
    Discovery,
    /// They polled until every backend was seen.
    WaitReady,
    /// They warmed the target up.
    Warmup,
    /// They found out whether rejections vanish at a lower pace.
    LimiterProbe,
    /// A rate limiter rejected requests while they were sent, which may have hit one backend alone.
    BeforePacing,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Discovery,
        Self::WaitReady,
        Self::Warmup,
        Self::LimiterProbe,
        Self::BeforePacing,
    ];

    /// The name that reports use, in `snake_case`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::WaitReady => "wait_ready",
            Self::Warmup => "warmup",
            Self::LimiterProbe => "limiter_probe",
            Self::BeforePacing => "before_pacing",
        }
    }
}

/// What became of the requests that were set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAside {
    by_reason: BTreeMap<Reason, u64>,
    by_status: BTreeMap<u16, u64>,
    by_failure: BTreeMap<Failure, u64>,
    identified: u64,
    by_group: Vec<u64>,
}

impl SetAside {
    /// What another process set aside; `None` where the reasons don't account for every request that was
    /// written, or the groups for more than was identified. Each list's counts must sum to a `u64`.
    pub fn restore(
        by_reason: BTreeMap<Reason, u64>,
        by_status: BTreeMap<u16, u64>,
        by_failure: BTreeMap<Failure, u64>,
        identified: u64,
        by_group: Vec<u64>,
    ) -> Option<Self> {
        let of_groups: u64 = by_group.iter().sum();
        let restored = Self {
            by_reason,
            by_status,
            by_failure,
            identified,
            by_group,
        };
        let responses: u64 = restored.by_status.values().sum();
        let failures: u64 = restored.by_failure.values().sum();
        let written = failures.checked_sub(restored.never_sent())?;
        let is_whole = responses.checked_add(written)? == restored.sent();
        (is_whole && of_groups <= identified && identified <= responses).then_some(restored)
    }

    /// Sets one request of the run aside, which this group of its answered, where it is known.
    pub fn record(&mut self, reason: Reason, observation: &Observation, group: Option<usize>) {
        match observation.outcome {
            Outcome::Responded { status, .. } => {
                *self.by_reason.entry(reason).or_default() += 1;
                *self.by_status.entry(status).or_default() += 1;
                if let Some(group) = group {
                    self.identified += 1;
                    super::count(&mut self.by_group, group, 1);
                }
            }
            Outcome::Failed(failure) => {
                if failure.was_sent() {
                    *self.by_reason.entry(reason).or_default() += 1;
                }
                *self.by_failure.entry(failure).or_default() += 1;
            }
        }
    }

    /// Sets everything aside that the run has counted so far.
    pub fn add_run(&mut self, reason: Reason, tally: &Tally) {
        self.add(reason, tally);
        for (group, counted) in tally.groups().iter().enumerate() {
            super::count(&mut self.by_group, group, counted.observed);
        }
    }

    /// Sets everything aside that was counted before the run, with groups of its own.
    pub fn add(&mut self, reason: Reason, tally: &Tally) {
        let sent = tally.attributed() + tally.unattributed();
        if sent > 0 {
            *self.by_reason.entry(reason).or_default() += sent;
        }
        for (status, count) in tally.by_status() {
            *self.by_status.entry(status).or_default() += count;
        }
        for (failure, count) in tally.by_failure() {
            *self.by_failure.entry(failure).or_default() += count;
        }
        self.identified += tally.attributed();
    }

    /// Adds what another thread or part of the run set aside.
    pub fn merge(&mut self, other: &Self) {
        merge(&mut self.by_reason, &other.by_reason);
        merge(&mut self.by_status, &other.by_status);
        merge(&mut self.by_failure, &other.by_failure);
        self.identified += other.identified;
        for (group, &observed) in other.by_group.iter().enumerate() {
            super::count(&mut self.by_group, group, observed);
        }
    }

    /// The same, where the groups are those of the run that the other process was added to.
    pub fn renumbered(self, added: &Added) -> Self {
        Self {
            by_group: added.renumbered(&self.by_group),
            ..self
        }
    }

    /// Requests that were written.
    pub fn sent(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// Those whose response named a pod.
    pub fn identified(&self) -> u64 {
        self.identified
    }

    /// Those of them that the run itself sent, by its groups; missing entries are 0.
    pub fn by_group(&self) -> &[u64] {
        &self.by_group
    }

    /// Requests that were never written.
    pub fn never_sent(&self) -> u64 {
        let kinds = self.by_failure.iter();
        kinds
            .filter(|(failure, _)| !failure.was_sent())
            .map(|(_, count)| count)
            .sum()
    }

    /// Whole responses that a rate limiter may have written.
    pub fn rejections(&self) -> u64 {
        let may_be = |status| status::is_too_many(status) || status::is_unavailable(status);
        let rejections = self.by_status().filter(|&(status, _)| may_be(status));
        rejections.map(|(_, count)| count).sum()
    }

    /// `(reason, requests written)`.
    pub fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.by_reason
            .iter()
            .map(|(&reason, &count)| (reason, count))
    }

    /// `(status, whole responses)`.
    pub fn by_status(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.by_status
            .iter()
            .map(|(&status, &count)| (status, count))
    }

    /// `(kind, requests without a whole response)`.
    pub fn by_failure(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        self.by_failure
            .iter()
            .map(|(&failure, &count)| (failure, count))
    }
}

fn merge<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (&key, &count) in from {
        *into.entry(key).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::identity::assignment::Mappings;
    use crate::tally::pods::PodRegistry;

    fn observed(outcome: Outcome) -> Observation {
        Observation {
            ticket: 0,
            outcome,
            dispatched: Duration::ZERO,
            latency: Duration::ZERO,
        }
    }

    #[test]
    fn a_tally_set_aside_and_its_requests_set_aside_one_by_one_agree() {
        let registry = PodRegistry::shared(Mappings::parse(&[], &[]).unwrap());
        let mut tally = Tally::new(registry, Arc::default());
        let pod = Some(tally.intern("web-0"));
        let (mut whole, mut single) = (SetAside::default(), SetAside::default());
        for outcome in [
            Outcome::Responded { status: 200, pod },
            Outcome::Responded {
                status: 503,
                pod: None,
            },
            Outcome::Failed(Failure::Reset),
            Outcome::Failed(Failure::Connect),
        ] {
            tally.record(&observed(outcome));
            let group = matches!(outcome, Outcome::Responded { pod: Some(_), .. }).then_some(0);
            single.record(Reason::BeforePacing, &observed(outcome), group);
        }
        whole.add_run(Reason::BeforePacing, &tally);
        assert_eq!(whole, single);
        assert_eq!(whole.by_group(), [1]);
        assert_eq!(
            (whole.sent(), whole.identified(), whole.never_sent()),
            (3, 1, 1)
        );
        assert_eq!(whole.rejections(), 1);
        single.merge(&whole);
        assert_eq!(single.sent(), 6);
    }
}
