//! A shard's report: what it measured, for `lbtest merge` to judge.

use std::io::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use http::header::{COOKIE, HOST};

use super::build::{by_name, timestamp};
use super::measurement::{
    AddressMeasurement, DependenceMeasurement, DifferingShard, GroupMeasurement, LimitMeasurement,
    LimiterMeasurement, Measurement, SetAsideMeasurement, ShardAgreementReport, ShardMeasurement,
    ShardReport, SharedPlan, SignsMeasurement, WindowMeasurement,
};
use super::{Coded, Report, VerdictName};
use crate::claim::Limit;
use crate::load::Run;
use crate::load::dial::Address;
use crate::load::limiter::Found;
use crate::plan::pace::Rate;
use crate::plan::shard::Sharding;
use crate::plan::{ConnectionUse, Plan};
use crate::split::Split;
use crate::tally::account::{Account, GroupAccount};
use crate::tally::connections::{Connections, SAMPLED};
use crate::tally::set_aside::SetAside;
use crate::verdict::Agreement;

impl Report {
    /// Turns the report of a shard's plan into one that measures and does not judge.
    pub(super) fn leave_to_the_merge(
        &mut self,
        plan: &Plan,
        sharding: &Sharding,
        run: Option<&Run>,
    ) {
        let shard = sharding.shard;
        self.forget_the_tests();
        // By group and by the place in the run's order, they stand in the measurement.
        self.windows.clear();
        let unmeasured = (self.verdict == VerdictName::Error)
            .then(|| self.reasons.first().map(|reason| reason.message.clone()))
            .map(Option::unwrap_or_default);
        if unmeasured.is_none() {
            self.verdict = VerdictName::Measured;
            self.split_verdict = VerdictName::Measured;
            self.exit_status = self.status().code();
            self.reasons = vec![Coded {
                code: "measured".to_owned(),
                message: format!(
                    "shard {shard} attributed {} requests; lbtest merge judges all shards together",
                    self.requests.attributed
                ),
            }];
        }
        self.shard = Some(ShardReport {
            index: shard.index(),
            count: shard.count(),
        });
        self.measurement = Some(Measurement {
            plan: SharedPlan::of(plan, sharding, &self.run_id),
            shards: vec![ShardMeasurement::of(plan, sharding, run, unmeasured)],
        });
    }

    /// Leaves the counts, and takes away what was concluded from them.
    pub(crate) fn forget_the_tests(&mut self) {
        self.test = None;
        self.change = None;
        self.shard_agreement = None;
        self.findings.clear();
    }
}

impl SharedPlan {
    fn of(plan: &Plan, sharding: &Sharding, run_id: &str) -> Self {
        let criterion = &plan.claim.criterion;
        let host = plan.request.headers.get(HOST);
        Self {
            run_id: run_id.to_owned(),
            shards: sharding.shard.count(),
            url: plan.target.url.clone(),
            host: host
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            expect: plan.claim.split.to_string(),
            alpha: criterion.alpha,
            tolerance_share: criterion.tolerance,
            judge: criterion.judge,
            max_unattributed_share: criterion.max_unattributed,
            seed: plan.claim.seed,
            requests: sharding.requests.map(NonZeroU64::get),
            duration_seconds: plan.budget.duration.as_ref().map(Duration::as_secs_f64),
            max_duration_seconds: plan.budget.max_duration.as_secs_f64(),
            rate_per_second: sharding.rate.map(Rate::per_second),
            requests_per_connection: match plan.load.connection_use {
                ConnectionUse::Requests(limit) => Some(limit.get()),
                ConnectionUse::KeepAlive => None,
            },
            limits: plan
                .claim
                .limits
                .iter()
                .map(|&(backend, limit)| {
                    let (p99, errors) = match limit {
                        Limit::P99(most) => (Some(most.as_secs_f64()), None),
                        Limit::Errors(most) => (None, Some(most)),
                    };
                    LimitMeasurement {
                        label: plan.claim.split.labels()[backend].clone(),
                        p99_seconds: p99,
                        error_share: errors,
                    }
                })
                .collect(),
            sends_cookie: plan.request.headers.contains_key(COOKIE),
            settings_digest: sharding.digest.clone(),
        }
    }
}

impl ShardMeasurement {
    fn of(plan: &Plan, sharding: &Sharding, run: Option<&Run>, unmeasured: Option<String>) -> Self {
        let shard = sharding.shard;
        let account = run.map_or_else(Account::default, |run| run.tally.account());
        let connections = run.map(|run| run.connections).unwrap_or_default();
        let signs = run.map(|run| run.signs).unwrap_or_default();
        let sampled = SAMPLED.div_ceil(usize::try_from(shard.count()).unwrap_or(SAMPLED));
        let messages = run.map(|run| &run.failure_messages);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Self {
            index: shard.index(),
            ending: run.map(|run| run.ending.code().to_owned()),
            unmeasured,
            started_at: run.map(|run| timestamp(run.started_at)),
            duration_seconds: run.map_or(0.0, |run| run.elapsed.as_secs_f64()),
            concurrency: count(plan.load.concurrency.get()),
            threads: count(plan.load.threads.get()),
            addresses: run.map_or_else(Vec::new, addresses),
            groups: account
                .groups
                .iter()
                .map(|group| GroupMeasurement::of(&plan.claim.split, group))
                .collect(),
            by_status: by_name(account.by_status.iter().copied()),
            unidentified_by_status: by_name(account.unidentified_by_status.iter().copied()),
            by_failure: by_name(account.by_failure.iter().copied()),
            failure_messages: messages
                .into_iter()
                .flatten()
                .map(|(failure, message)| (failure.to_string(), message.clone()))
                .collect(),
            set_aside: run.map_or_else(SetAsideMeasurement::default, |run| (&run.set_aside).into()),
            limiter: run.and_then(|run| run.limiter).map(Into::into),
            limiter_undecided: run.is_some_and(|run| run.limiter_undecided),
            histogram: STANDARD.encode(account.unidentified_latency.to_hdr_v2_deflate()),
            window_length: account.windows.length(),
            windows: account
                .windows
                .blocks()
                .iter()
                .map(|block| WindowMeasurement {
                    start_seconds: block.start.map(|start| start.as_micros() as f64 / 1e6),
                    counts: block.counts.clone(),
                })
                .collect(),
            sequence: STANDARD.encode(deflated(&account.sequence)),
            connections_opened: connections.opened,
            connections_reopened: connections.reopened,
            connections_most_open: connections.most_open,
            port_waits: run.map_or(0, |run| run.port_waits),
            dependence: (!plan.load.connection_use.is_fresh())
                .then(|| DependenceMeasurement::of(&account.connections, sampled)),
            signs: SignsMeasurement {
                inspected: signs.inspected,
                cached: signs.cached,
                set_cookie: signs.set_cookie,
            },
        }
    }
}

fn addresses(run: &Run) -> Vec<AddressMeasurement> {
    let row = |(index, address): (usize, &Address)| {
        let brought = run.by_address.get(index);
        AddressMeasurement {
            address: address.to_string(),
            connections: brought.connections,
            failed_dials: brought.failed_dials,
            observed: brought.observed,
            unidentified: brought.unidentified,
            failed: brought.failed,
        }
    };
    run.addresses.iter().enumerate().map(row).collect()
}

impl From<&SetAside> for SetAsideMeasurement {
    fn from(set_aside: &SetAside) -> Self {
        let reasons = set_aside.by_reason();
        Self {
            by_reason: by_name(reasons.map(|(reason, count)| (reason.code(), count))),
            by_status: by_name(set_aside.by_status()),
            by_failure: by_name(set_aside.by_failure()),
            identified: set_aside.identified(),
        }
    }
}

impl From<Found> for LimiterMeasurement {
    fn from(found: Found) -> Self {
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
    fn of(split: &Split, account: &GroupAccount) -> Self {
        let group = &account.group;
        Self {
            workload: group.workload.clone(),
            owner: group.owner.clone(),
            label: group.explicit.map(|label| split.labels()[label].clone()),
            pods: account.pods.iter().cloned().collect(),
            errors: account.errors,
            histogram: STANDARD.encode(account.latency.to_hdr_v2_deflate()),
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
