//! Requests that were sent and do not count for the split, kept visible: by reason, by status, by failure.

use std::collections::BTreeMap;

use super::Tally;
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
}

impl SetAside {
    /// What another process set aside; `None` where the reasons don't account for every request that was
    /// written. Each list's counts must sum to a `u64`.
    pub fn restore(
        by_reason: BTreeMap<Reason, u64>,
        by_status: BTreeMap<u16, u64>,
        by_failure: BTreeMap<Failure, u64>,
        identified: u64,
    ) -> Option<Self> {
        let restored = Self {
            by_reason,
            by_status,
            by_failure,
            identified,
        };
        let responses: u64 = restored.by_status.values().sum();
        let failures: u64 = restored.by_failure.values().sum();
        let written = failures.checked_sub(restored.never_sent())?;
        (responses.checked_add(written)? == restored.sent() && identified <= responses)
            .then_some(restored)
    }

    /// Sets one request aside.
    pub fn record(&mut self, reason: Reason, observation: &Observation) {
        match observation.outcome {
            Outcome::Responded { status, pod } => {
                *self.by_reason.entry(reason).or_default() += 1;
                *self.by_status.entry(status).or_default() += 1;
                self.identified += u64::from(pod.is_some());
            }
            Outcome::Failed(failure) => {
                if failure.was_sent() {
                    *self.by_reason.entry(reason).or_default() += 1;
                }
                *self.by_failure.entry(failure).or_default() += 1;
            }
        }
    }

    /// Sets everything aside that was counted so far.
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
    }

    /// Requests that were written.
    pub fn sent(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// Those whose response named a pod.
    pub fn identified(&self) -> u64 {
        self.identified
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
            single.record(Reason::BeforePacing, &observed(outcome));
        }
        whole.add(Reason::BeforePacing, &tally);
        assert_eq!(whole, single);
        assert_eq!(
            (whole.sent(), whole.identified(), whole.never_sent()),
            (3, 1, 1)
        );
        assert_eq!(whole.rejections(), 1);
        single.merge(&whole);
        assert_eq!(single.sent(), 6);
    }
}
