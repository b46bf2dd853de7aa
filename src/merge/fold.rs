//! From what the shards share and what each measured to what one machine would have measured.

use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{Duration, SystemTime};

use super::decode::DecodeError;
use crate::claim::within::Within;
use crate::claim::{Claim, Criterion, CriterionError, Limit};
use crate::measured::{Address, Ending, Measured, PartCounts, RateLimit, Trial};
use crate::plan::preparation::Preparation;
use crate::plan::target::{Destination, Dialling, Protocol, TargetError};
use crate::plan::{Budget, ConnectionUse};
use crate::report::measurement::{LimitMeasurement, ShardMeasurement, SharedPlan};
use crate::split::{Split, SplitError};

/// Why what the shards share is nothing that was asked.
#[derive(Debug, thiserror::Error)]
pub enum SharedPlanError {
    /// A number is none that a plan can have.
    #[error("{0} is not one that a run can have")]
    Field(&'static str),
    /// What is expected is no split.
    #[error("expect: {0}")]
    Split(#[from] SplitError),
    /// The error rates cannot be kept.
    #[error(transparent)]
    Criterion(#[from] CriterionError),
    /// The target is none.
    #[error(transparent)]
    Target(#[from] TargetError),
}

fn split(shared: &SharedPlan) -> Result<Split, SharedPlanError> {
    let Some(pods) = shared.even_pods else {
        return Ok(shared.expect.parse()?);
    };
    if !shared.expect.is_empty() {
        let split: Split = shared.expect.parse()?;
        return Ok(Split::of_named_pods(split.labels())?);
    }
    let pods = usize::try_from(pods).ok().and_then(NonZeroUsize::new);
    let pods = pods.ok_or(SharedPlanError::Field("even_pods"))?;
    Ok(Split::of_pods(pods)?)
}

/// What was asserted of the whole run.
pub(super) fn claim(shared: &SharedPlan) -> Result<Claim, SharedPlanError> {
    let split = split(shared)?;
    let criterion = Criterion::new(
        &split,
        shared.alpha,
        shared.tolerance_share,
        shared.judge,
        shared.max_unattributed_share,
    )?;
    let limit = |limit: &LimitMeasurement| {
        let backend = split.position(&limit.label)?;
        let limit = match (limit.p99_seconds, limit.error_share) {
            (Some(p99), None) => Limit::P99(Duration::try_from_secs_f64(p99).ok()?),
            (None, Some(share)) if (0.0..=1.0).contains(&share) => Limit::Errors(share),
            _ => return None,
        };
        Some((backend, limit))
    };
    let limits: Option<Vec<_>> = shared.limits.iter().map(limit).collect();
    within(
        shared,
        Claim {
            limits: limits.ok_or(SharedPlanError::Field("limits"))?,
            ..Claim::new(split, criterion, shared.seed)
        },
    )
}

/// The claim with what is asserted of the pods within backends.
fn within(shared: &SharedPlan, claim: Claim) -> Result<Claim, SharedPlanError> {
    let refused = || SharedPlanError::Field("even_within");
    let Some(tolerance) = shared.even_tolerance_ratio else {
        return Ok(claim);
    };
    let backends = claim.split.len();
    let (mut pods, mut names) = (vec![None; backends], vec![Vec::new(); backends]);
    for own in &shared.even_within {
        let backend = claim.split.position(&own.label).ok_or_else(refused)?;
        let number = usize::try_from(own.pods).ok().and_then(NonZeroUsize::new);
        let is_whole =
            own.names.is_empty() || Some(own.names.len()) == number.map(NonZeroUsize::get);
        pods[backend] = Some(number.filter(|_| is_whole).ok_or_else(refused)?);
        names[backend].clone_from(&own.names);
    }
    let within = Within {
        pods,
        names,
        tolerance,
    };
    claim.with_pods(within).map_err(|_| refused())
}

/// How the whole run was tried.
pub(super) fn trial(shared: &SharedPlan) -> Result<Trial, SharedPlanError> {
    let seconds = |name, seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|_| SharedPlanError::Field(name))
    };
    let count = |name, count: Option<u64>| {
        count
            .map(|count| NonZeroU64::new(count).ok_or(SharedPlanError::Field(name)))
            .transpose()
    };
    let rate = shared
        .rate_per_second
        .map(|rate| format!("{rate}/s").parse());
    let protocol = shared.protocol.as_deref().map(Protocol::named);
    let protocol = protocol.unwrap_or(Some(Protocol::Http1));
    let protocol = protocol.ok_or(SharedPlanError::Field("protocol"))?;
    let target = Destination::parse(&shared.url, Some(&shared.host))?.target(&Dialling {
        protocol,
        ..Dialling::default()
    })?;
    let per_connection = count("requests_per_connection", shared.requests_per_connection)?;
    Ok(Trial {
        url: target.url,
        host: shared.host.clone(),
        identify: Vec::new(),
        protocol: target.protocol,
        tls_server_name: target.tls.map(|tls| tls.server_name.to_str().into_owned()),
        budget: Budget {
            requests: count("requests", shared.requests)?,
            duration: shared
                .duration_seconds
                .map(|duration| seconds("duration_seconds", duration))
                .transpose()?,
            max_duration: seconds("max_duration_seconds", shared.max_duration_seconds)?,
        },
        preparation: Preparation::default(),
        concurrency: 1,
        streams: 1,
        threads: 1,
        rate: rate
            .transpose()
            .map_err(|_| SharedPlanError::Field("rate_per_second"))?,
        connection_use: per_connection.map_or(ConnectionUse::KeepAlive, ConnectionUse::Requests),
        sequential: false,
        sends_cookie: shared.sends_cookie,
        routing_header: None,
        is_nginx_canary: false,
        shard: None,
        run_id: Some(shared.run_id.clone()),
    })
}

/// Says how much all shards together had in flight.
pub(super) fn add_machines(trial: &mut Trial, shards: &[&ShardMeasurement]) {
    let sum = |of: fn(&ShardMeasurement) -> u64| {
        let each = shards.iter().map(|shard| of(shard));
        each.fold(0, u64::saturating_add).max(1)
    };
    trial.concurrency = sum(|shard| shard.concurrency);
    trial.threads = sum(|shard| shard.threads);
}

/// Adds shards up to one run.
pub(super) struct Fold {
    whole: Measured,
    places: HashMap<Address, usize>,
    ended: SystemTime,
}

impl Fold {
    /// A run that nobody has measured yet.
    pub(super) fn new(trial: Trial) -> Self {
        Self {
            whole: Measured {
                started_at: Some(SystemTime::UNIX_EPOCH),
                ..Measured::nothing(trial)
            },
            places: HashMap::new(),
            ended: SystemTime::UNIX_EPOCH,
        }
    }

    /// Adds one shard.
    ///
    /// # Errors
    /// There are more requests in all than are counted exactly.
    pub(super) fn add(&mut self, index: u32, shard: Measured) -> Result<(), DecodeError> {
        let whole = &mut self.whole;
        let added = whole.counted.add(&shard.counted);
        let set_aside = shard.set_aside.renumbered(&added);
        whole.set_aside.merge(&set_aside);
        whole.limiter = slower(whole.limiter, shard.limiter);
        whole.limiter_undecided |= shard.limiter_undecided;
        whole.connections.opened += shard.connections.opened;
        whole.connections.reopened += shard.connections.reopened;
        whole.connections.most_open += shard.connections.most_open;
        whole.port_waits += shard.port_waits;
        whole.slow_dials += shard.slow_dials;
        for (own, address) in shard.addresses.into_iter().enumerate() {
            let mut tally = shard.by_address.get(own);
            let next = whole.addresses.len();
            let place = *self.places.entry(address.clone()).or_insert(next);
            if place == next {
                whole.addresses.push(address);
            }
            tally.observed = added.renumbered(&tally.observed);
            whole.by_address.add(place, &tally);
        }
        for (failure, message) in shard.failure_messages {
            whole.failure_messages.entry(failure).or_insert(message);
        }
        whole.signs.merge(shard.signs);
        if whole.ending == Ok(Ending::Complete) {
            whole.ending = shard.ending;
        }
        let began = shard.started_at.unwrap_or(SystemTime::UNIX_EPOCH);
        let ended = began.checked_add(shard.elapsed).unwrap_or(began);
        if whole.parts.is_empty() {
            (whole.started_at, self.ended) = (Some(began), ended);
        }
        whole.parts.push(PartCounts {
            index,
            observed: if whole.trial.connection_use.is_fresh() {
                added.observed
            } else {
                added.first_responses
            },
        });
        let began = whole.started_at.map_or(began, |known| known.min(began));
        whole.started_at = Some(began);
        self.ended = self.ended.max(ended);
        whole.elapsed = self.ended.duration_since(began).unwrap_or_default();
        super::decode::within_reach(whole)
    }

    /// What all shards measured.
    pub(super) fn finish(self) -> Measured {
        self.whole
    }
}

/// Of the limiters that two clients met, the one that let less through.
fn slower(one: Option<RateLimit>, other: Option<RateLimit>) -> Option<RateLimit> {
    let both = one.into_iter().chain(other);
    both.min_by(|one, other| one.per_second.total_cmp(&other.per_second))
}
