//! A shard's report: what it measured, for `lbtest merge` to judge.

use std::io::Write;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::build::{by_name, named, status_named, statuses, timestamp};
use super::measurement::{
    AddressMeasurement, DependenceMeasurement, DifferingShard, EvenWithinMeasurement,
    GroupMeasurement, LimitMeasurement, LimiterMeasurement, Measurement, SetAsideMeasurement,
    ShardAgreementReport, ShardMeasurement, ShardReport, SharedPlan, SignsMeasurement,
    WindowMeasurement,
};
use super::{Report, VerdictName};
use crate::claim::{Claim, Limit};
use crate::measured::{Address, Measured, RateLimit, Trial};
use crate::plan::ConnectionUse;
use crate::plan::pace::Rate;
use crate::plan::shard::{Shard, Sharding};
use crate::split::Split;
use crate::tally::connections::{Connections, SAMPLED};
use crate::tally::counted::GroupCounted;
use crate::tally::sequence::packed;
use crate::tally::set_aside::SetAside;
use crate::verdict::Agreement;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;

impl Report {
    /// Adds what a shard measured, for the merge to judge.
    pub(super) fn add_shard(&mut self, claim: &Claim, measured: &Measured, sharding: &Sharding) {
        let shard = sharding.shard;
        self.shard = Some(ShardReport {
            index: shard.index(),
            count: shard.count(),
        });
        let unmeasured = (self.verdict == VerdictName::Error)
            .then(|| self.reasons.first().map(|reason| reason.message.clone()))
            .map(Option::unwrap_or_default);
        self.measurement = Some(Measurement {
            plan: SharedPlan::of(claim, &measured.trial, sharding, &self.run_id),
            shards: vec![ShardMeasurement::of(claim, measured, shard, unmeasured)],
        });
    }
}

impl SharedPlan {
    fn of(claim: &Claim, trial: &Trial, sharding: &Sharding, run_id: &str) -> Self {
        let criterion = &claim.criterion;
        Self {
            run_id: run_id.to_owned(),
            shards: sharding.shard.count(),
            url: trial.url.clone(),
            host: trial.host.clone(),
            protocol: Some(trial.protocol.name().to_owned()),
            even_pods: claim.split.is_of_pods().then(|| claim.split.len() as u64),
            even_within: even_within(claim),
            even_tolerance_ratio: claim.within.as_ref().map(|within| within.tolerance),
            expect: if claim.split.is_of_pods() && !claim.split.are_named() {
                String::new()
            } else {
                claim.split.to_string()
            },
            alpha: criterion.alpha,
            tolerance_share: criterion.tolerance,
            judge: criterion.judge,
            max_unattributed_share: criterion.max_unattributed,
            seed: claim.seed,
            requests: sharding.requests.map(NonZeroU64::get),
            duration_seconds: trial.budget.duration.as_ref().map(Duration::as_secs_f64),
            max_duration_seconds: trial.budget.max_duration.as_secs_f64(),
            rate_per_second: sharding.rate.map(Rate::per_second),
            requests_per_connection: match trial.connection_use {
                ConnectionUse::Requests(limit) => Some(limit.get()),
                ConnectionUse::KeepAlive => None,
            },
            limits: claim
                .limits
                .iter()
                .map(|&(backend, limit)| {
                    let (p99, errors) = match limit {
                        Limit::P99(most) => (Some(most.as_secs_f64()), None),
                        Limit::Errors(most) => (None, Some(most)),
                    };
                    LimitMeasurement {
                        label: claim.split.labels()[backend].clone(),
                        p99_seconds: p99,
                        error_share: errors,
                    }
                })
                .collect(),
            sends_cookie: trial.sends_cookie,
            settings_digest: sharding.digest.clone(),
        }
    }
}

/// What is asserted of the pods within backends.
fn even_within(claim: &Claim) -> Vec<EvenWithinMeasurement> {
    let Some(within) = &claim.within else {
        return Vec::new();
    };
    let backends = claim.split.labels().iter().zip(&within.pods);
    let own = |(backend, (label, pods)): (usize, (&String, &Option<NonZeroUsize>))| {
        Some(EvenWithinMeasurement {
            label: label.clone(),
            pods: (*pods)?.get() as u64,
            names: within.names.get(backend).cloned().unwrap_or_default(),
        })
    };
    backends.enumerate().filter_map(own).collect()
}

impl ShardMeasurement {
    fn of(claim: &Claim, measured: &Measured, shard: Shard, unmeasured: Option<String>) -> Self {
        let counted = &measured.counted;
        let (trial, connections, signs) = (&measured.trial, measured.connections, measured.signs);
        let sampled = SAMPLED.div_ceil(usize::try_from(shard.count()).unwrap_or(SAMPLED));
        let messages = &measured.failure_messages;
        Self {
            index: shard.index(),
            ending: measured
                .ending
                .as_ref()
                .ok()
                .map(|ending| ending.code().to_owned()),
            unmeasured,
            started_at: measured.started_at.map(timestamp),
            duration_seconds: measured.elapsed.as_secs_f64(),
            concurrency: trial.concurrency,
            threads: trial.threads,
            addresses: addresses(measured),
            groups: counted
                .groups
                .iter()
                .map(|group| GroupMeasurement::of(&claim.split, group))
                .collect(),
            by_status: statuses(&counted.by_status),
            unidentified_by_status: statuses(&counted.unidentified_by_status),
            by_failure: named(&counted.by_failure),
            failure_messages: messages
                .iter()
                .map(|(failure, message)| (failure.to_string(), message.clone()))
                .collect(),
            set_aside: (&measured.set_aside).into(),
            limiter: measured.limiter.map(Into::into),
            limiter_undecided: measured.limiter_undecided,
            histogram: STANDARD.encode(counted.unidentified_latency.to_hdr_v2_deflate()),
            window_length: counted.windows.length(),
            windows: counted
                .windows
                .blocks()
                .iter()
                .map(|block| WindowMeasurement {
                    start_seconds: block.start.map(|start| start.as_micros() as f64 / 1e6),
                    counts: block.counts.clone(),
                    unidentified: block.unidentified,
                })
                .collect(),
            sequence: STANDARD.encode(deflated(&packed(&counted.sequence))),
            connections_opened: connections.opened,
            connections_reopened: connections.reopened,
            connections_most_open: connections.most_open,
            port_waits: measured.port_waits,
            slow_dials: measured.slow_dials,
            dependence: (!trial.connection_use.is_fresh())
                .then(|| DependenceMeasurement::of(&counted.connections, sampled)),
            signs: SignsMeasurement {
                inspected: signs.inspected,
                cached: signs.cached,
                set_cookie: signs.set_cookie,
            },
        }
    }
}

fn addresses(measured: &Measured) -> Vec<AddressMeasurement> {
    let row = |(index, address): (usize, &Address)| {
        let tally = measured.by_address.get(index);
        AddressMeasurement {
            address: address.to_string(),
            connections: tally.connections,
            failed_dials: tally.failed_dials,
            observed: tally.observed,
            unidentified: tally.unidentified,
            failed: tally.failed,
        }
    };
    measured.addresses.iter().enumerate().map(row).collect()
}

impl From<&SetAside> for SetAsideMeasurement {
    fn from(set_aside: &SetAside) -> Self {
        let reasons = set_aside.by_reason();
        Self {
            by_reason: by_name(reasons.map(|(reason, count)| (reason.code(), count))),
            by_status: by_name(set_aside.by_status().map(status_named)),
            by_failure: by_name(set_aside.by_failure()),
            identified: set_aside.identified(),
            observed: set_aside.by_group().to_vec(),
        }
    }
}

impl From<RateLimit> for LimiterMeasurement {
    fn from(found: RateLimit) -> Self {
        Self {
            per_second: found.per_second,
            accepted: found.accepted,
            over_seconds: found.over.as_secs_f64(),
            pace_per_second: found.pace_per_second,
            is_explicit: found.is_explicit,
            slowdowns: found.slowdowns,
        }
    }
}

impl GroupMeasurement {
    fn of(split: &Split, counted: &GroupCounted) -> Self {
        let group = &counted.group;
        Self {
            workload: group.workload.clone(),
            owner: group.owner.clone(),
            label: group.explicit.map(|label| split.labels()[label].clone()),
            is_foreign: group.is_foreign,
            pods: counted.pods.clone(),
            errors: counted.errors,
            histogram: STANDARD.encode(counted.latency.to_hdr_v2_deflate()),
        }
    }
}

impl DependenceMeasurement {
    fn of(connections: &Connections, sampled: usize) -> Self {
        let sums = connections.sums();
        Self {
            connections: sums.connections(),
            unidentified_first: sums.unidentified_first(),
            squared_sizes: sums.squared_sizes(),
            observed: sums.observed().to_vec(),
            first: sums.first_responses().to_vec(),
            products: sums.products().to_vec(),
            sample: connections.sample().iter().take(sampled).cloned().collect(),
        }
    }
}

impl From<&Agreement> for ShardAgreementReport {
    fn from(agreement: &Agreement) -> Self {
        let tested = &agreement.homogeneity;
        let differing = agreement.differing.iter();
        Self {
            p_value: tested.p_value,
            statistic: tested.statistic,
            degrees_of_freedom: tested.degrees_of_freedom,
            chi_square_p_value: tested.chi_square_p_value,
            differing: differing
                .map(|(index, shares)| DifferingShard {
                    index: *index,
                    shares: shares.clone(),
                })
                .collect(),
        }
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}
