//! From what the shards share and what each measured to the plan and the run that one machine would have had.

use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::decode::{DecodeError, Measured};
use crate::claim::Limit;
use crate::measured::{self, Address, Ending, PartCounts, RateLimit};
use crate::plan::Plan;
use crate::plan::settings::{Settings, SettingsError};
use crate::report::measurement::{LimitMeasurement, ShardMeasurement, SharedPlan};
use crate::tally::Tally;
use crate::tally::pods::PodRegistry;
use crate::tally::sequence::Sequence;

/// Why what the shards share is no plan.
#[derive(Debug, thiserror::Error)]
pub enum SharedPlanError {
    /// A number is none that a plan can have.
    #[error("{0} is not one that a run can have")]
    Field(&'static str),
    /// The command line would refuse it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// The plan of the whole run, as the command line would have made it.
pub(super) fn plan(shared: &SharedPlan) -> Result<Plan, SharedPlanError> {
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
    let settings = Settings {
        url: Some(shared.url.clone()),
        host: Some(shared.host.clone()),
        expect: Some(shared.expect.clone()),
        alpha: Some(shared.alpha),
        tolerance: Some(shared.tolerance_share),
        judge: Some(shared.judge),
        max_unattributed: Some(shared.max_unattributed_share),
        seed: Some(shared.seed),
        requests: count("requests", shared.requests)?,
        duration: shared
            .duration_seconds
            .map(|duration| seconds("duration_seconds", duration))
            .transpose()?,
        max_duration: Some(seconds(
            "max_duration_seconds",
            shared.max_duration_seconds,
        )?),
        rate: rate
            .transpose()
            .map_err(|_| SharedPlanError::Field("rate_per_second"))?,
        requests_per_connection: count("requests_per_connection", shared.requests_per_connection)?,
        keep_alive: shared.requests_per_connection.is_none().then_some(true),
        // That there is one matters, not which.
        header: if shared.sends_cookie {
            vec!["Cookie: sent=true".to_owned()]
        } else {
            Vec::new()
        },
        ..Settings::default()
    };
    let mut plan = settings.plan()?;
    let limit = |limit: &LimitMeasurement| {
        let backend = plan.claim.split.position(&limit.label)?;
        let limit = match (limit.p99_seconds, limit.error_share) {
            (Some(p99), None) => Limit::P99(Duration::try_from_secs_f64(p99).ok()?),
            (None, Some(share)) if (0.0..=1.0).contains(&share) => Limit::Errors(share),
            _ => return None,
        };
        Some((backend, limit))
    };
    let limits: Option<Vec<_>> = shared.limits.iter().map(limit).collect();
    plan.claim.limits = limits.ok_or(SharedPlanError::Field("limits"))?;
    plan.run_id = Some(shared.run_id.clone());
    Ok(plan)
}

/// Says in the plan how much all shards together had in flight.
pub(super) fn add_machines(plan: &mut Plan, shards: &[&ShardMeasurement]) {
    let sum = |of: fn(&ShardMeasurement) -> u64| {
        let each = shards.iter().map(|shard| of(shard));
        let sum = each.fold(0, u64::saturating_add);
        usize::try_from(sum).ok().and_then(NonZeroUsize::new)
    };
    plan.load.concurrency = sum(|shard| shard.concurrency).unwrap_or(NonZeroUsize::MIN);
    plan.load.threads = sum(|shard| shard.threads).unwrap_or(NonZeroUsize::MIN);
}

/// Adds shards up to one run.
pub(super) struct Fold {
    run: measured::Measured,
    places: HashMap<Address, usize>,
    ended: SystemTime,
}

impl Fold {
    /// A run that nobody has measured yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut measured = measured::Measured::nothing(plan);
        let registry = PodRegistry::shared(plan.mappings.clone());
        measured.tally = Tally::new(registry, Arc::new(Sequence::new(u64::MAX)));
        measured.started_at = Some(SystemTime::UNIX_EPOCH);
        Self {
            run: measured,
            places: HashMap::new(),
            ended: SystemTime::UNIX_EPOCH,
        }
    }

    /// Adds one shard.
    ///
    /// # Errors
    /// There are more requests in all than are counted exactly.
    pub(super) fn add(&mut self, index: u32, measured: Measured) -> Result<(), DecodeError> {
        let Measured {
            account,
            set_aside,
            limiter,
            limiter_undecided,
            connections,
            port_waits,
            addresses,
            failure_messages,
            signs,
            started_at,
            elapsed,
            ending,
        } = measured;
        let run = &mut self.run;
        let added = run.tally.add_account(&account);
        run.set_aside.merge(&set_aside);
        run.limiter = slower(run.limiter, limiter);
        run.limiter_undecided |= limiter_undecided;
        run.connections.opened += connections.opened;
        run.connections.reopened += connections.reopened;
        run.connections.most_open += connections.most_open;
        run.port_waits += port_waits;
        for (address, mut brought) in addresses {
            let next = run.addresses.len();
            let place = *self.places.entry(address.clone()).or_insert(next);
            if place == next {
                run.addresses.push(address);
            }
            brought.observed = added.renumbered(&brought.observed);
            run.by_address.add(place, &brought);
        }
        run.parts.push(PartCounts {
            index,
            observed: if run.trial.connection_use.is_fresh() {
                added.observed
            } else {
                added.first_responses
            },
        });
        for (failure, message) in failure_messages {
            run.failure_messages.entry(failure).or_insert(message);
        }
        run.signs.merge(signs);
        if run.ending == Ok(Ending::Complete) {
            run.ending = Ok(ending);
        }
        let ended = started_at.checked_add(elapsed).unwrap_or(started_at);
        if run.parts.len() == 1 {
            (run.started_at, self.ended) = (Some(started_at), ended);
        }
        let began = run
            .started_at
            .map_or(started_at, |known| known.min(started_at));
        run.started_at = Some(began);
        self.ended = self.ended.max(ended);
        let elapsed = self.ended.duration_since(began);
        run.elapsed = elapsed.unwrap_or_default();
        super::decode::within_reach(&run.tally, &run.set_aside)
    }

    /// What all shards measured.
    pub(super) fn finish(self) -> measured::Measured {
        self.run
    }
}

/// Of the limiters that two clients met, the one that let less through.
fn slower(one: Option<RateLimit>, other: Option<RateLimit>) -> Option<RateLimit> {
    let both = one.into_iter().chain(other);
    both.min_by(|one, other| one.per_second.total_cmp(&other.per_second))
}
