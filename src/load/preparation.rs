//! What comes before the requests that are judged: polling until the backends are there, and warming up.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dial::Dialler;
use super::shared::Shared;
use super::signals::Signals;
use super::{LoadError, drive, reachable_addresses};
use crate::claim::Claim;
use crate::identity::assignment::assign;
use crate::measured::{Address, Connections};
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::plan::{Budget, Plan};
use crate::tally::addresses::Addresses;
use crate::tally::pods::PodRegistry;
use crate::tally::set_aside::{Reason, SetAside};

/// How often a target that cannot be reached yet is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// The pace at which a target is polled, and from how many connections at most: enough to see a backend of
/// one percent within seconds, and no load.
const POLLS_PER_SECOND: f64 = 50.0;
const POLLERS: usize = 8;

/// What preparation sent.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub set_aside: SetAside,
    pub connections: Connections,
    /// The connections by address.
    pub addresses: Addresses,
}

/// Polls until every backend of positive weight has answered; the addresses that can be reached.
///
/// # Errors
/// After `limit` the target cannot be reached, or a backend has not answered.
pub(super) async fn wait_ready(
    plan: &Plan,
    limit: Duration,
    dialler: &Arc<Dialler>,
    signals: &mut Signals,
    prepared: &mut Prepared,
) -> Result<Vec<Address>, LoadError> {
    let began = Instant::now();
    let addresses = until_reachable(plan, limit, dialler, signals).await?;
    let left = limit.saturating_sub(began.elapsed());
    let mut poll = apart(plan);
    poll.budget = Budget {
        requests: None,
        duration: Some(left),
        max_duration: left,
    };
    let rate = Rate::a_second(POLLS_PER_SECOND);
    let own = plan
        .load
        .rate
        .filter(|own| own.per_second() < rate.per_second());
    poll.load.rate = Some(own.unwrap_or(rate));
    let pollers = NonZeroUsize::new(POLLERS).unwrap_or(NonZeroUsize::MIN);
    poll.load.concurrency = plan.load.concurrency.min(pollers);
    poll.load.threads = NonZeroUsize::MIN;
    let (registry, shared) = stage(poll, dialler, &addresses, Reason::WaitReady);
    prepared
        .send(&shared, Reason::WaitReady, signals, &mut || {
            if missing(plan, &registry).is_empty() {
                shared.turnstile.dispenser.stop();
            }
        })
        .await?;
    let missing = missing(plan, &registry);
    if missing.is_empty() {
        return Ok(addresses);
    }
    let mut answered: Vec<String> = registry
        .groups()
        .into_iter()
        .map(|group| group.workload)
        .collect();
    answered.dedup();
    Err(LoadError::NotReady {
        limit,
        missing,
        answered,
        sent: Box::new(prepared.set_aside.clone()),
    })
}

/// The addresses of a target that can be reached at last.
async fn until_reachable(
    plan: &Plan,
    limit: Duration,
    dialler: &Arc<Dialler>,
    signals: &mut Signals,
) -> Result<Vec<Address>, LoadError> {
    let began = Instant::now();
    loop {
        let error = tokio::select! {
            biased;
            () = signals.next() => return Err(LoadError::Interrupted(Box::default())),
            addresses = reachable_addresses(plan, dialler) => match addresses {
                Ok(addresses) => return Ok(addresses),
                Err(error) => error,
            },
        };
        if began.elapsed() + RETRY >= limit {
            return Err(error);
        }
        tokio::select! {
            biased;
            () = signals.next() => return Err(LoadError::Interrupted(Box::default())),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Sends what warms the target up, where that is asked for.
///
/// # Errors
/// The user stopped it, or a thread could not start.
pub(super) async fn warm_up(
    plan: &Plan,
    dialler: &Arc<Dialler>,
    addresses: &[Address],
    signals: &mut Signals,
    prepared: &mut Prepared,
) -> Result<(), LoadError> {
    let (requests, duration) = match plan.preparation.warmup {
        None => return Ok(()),
        Some(Warmup::Requests(requests)) => (Some(requests), None),
        Some(Warmup::Duration(duration)) => (None, Some(duration)),
    };
    let mut warm = apart(plan);
    warm.budget = Budget {
        requests,
        duration,
        ..plan.budget
    };
    let (_, shared) = stage(warm, dialler, addresses, Reason::Warmup);
    prepared
        .send(&shared, Reason::Warmup, signals, &mut || {})
        .await
}

/// The plan without what makes its requests a sample.
pub(super) fn apart(plan: &Plan) -> Plan {
    Plan {
        claim: Claim {
            sessions: None,
            ..plan.claim.clone()
        },
        sequential: false,
        shard: None,
        ..plan.clone()
    }
}

/// Pods that answer now are no evidence later, so they have a registry of their own.
pub(super) fn stage(
    plan: Plan,
    dialler: &Arc<Dialler>,
    addresses: &[Address],
    reason: Reason,
) -> (Arc<PodRegistry>, Arc<Shared>) {
    let registry = PodRegistry::shared(plan.mappings.clone());
    let addresses = addresses.to_vec();
    let shared = Shared::new(
        plan,
        Arc::clone(dialler),
        addresses,
        &registry,
        Some(reason),
    );
    (registry, Arc::new(shared))
}

impl Prepared {
    pub(super) async fn send(
        &mut self,
        shared: &Arc<Shared>,
        reason: Reason,
        signals: &mut Signals,
        watch: &mut dyn FnMut(),
    ) -> Result<(), LoadError> {
        let driven = drive(shared, &Arc::default(), signals, &mut |_| watch()).await?;
        let mut harvest = driven.harvest;
        self.set_aside.add(reason, &harvest.tally);
        self.connections.add_earlier(harvest.connections);
        harvest.addresses.start_over();
        self.addresses.merge(&harvest.addresses);
        match driven.stopped_by {
            Some(crate::measured::Ending::Interrupted) => {
                Err(LoadError::Interrupted(Box::new(self.set_aside.clone())))
            }
            _ => Ok(()),
        }
    }
}

/// The labels of positive weight that no pod is known to belong to. Where names leave it open which backend a
/// workload is, any will do that leaves none of them without one.
fn missing(plan: &Plan, registry: &PodRegistry) -> Vec<String> {
    /// More ways to assign workloads are not tried.
    const MOST_WAYS: usize = 10_000;
    let (split, groups) = (&plan.claim.split, registry.groups());
    let assignment = assign(split, &groups);
    let without = |assigned: &[Option<usize>]| -> Vec<String> {
        let shares = split.labels().iter().zip(split.shares()).enumerate();
        shares
            .filter(|&(backend, (_, &share))| share > 0.0 && !assigned.contains(&Some(backend)))
            .map(|(_, (label, _))| label.clone())
            .collect()
    };
    let certain = without(&assignment.fixed);
    let mut ways = assignment.possibilities(MOST_WAYS).into_iter().flatten();
    if ways.any(|way| without(&way).is_empty()) {
        return Vec::new();
    }
    certain
}
