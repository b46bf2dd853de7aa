//! How many pods there are, found out before a run whose plan hangs on it.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use super::dial::Dialler;
use super::preparation::{self, Prepared};
use super::signals::Signals;
use super::{LoadError, block_on, fits, machine, reachable_addresses};
use crate::claim::Claim;
use crate::format::count;
use crate::identity::assignment::Group;
use crate::measured::{Measured, Unmeasured};
use crate::plan::{Budget, ConnectionUse, Plan};
use crate::stats::evenness::discovery_size;
use crate::tally::set_aside::Reason;

/// What was found before the run.
#[derive(Debug)]
pub struct Discovery {
    /// The pods that answered.
    pub pods: Vec<Group>,
    prepared: Prepared,
}

/// Sends requests, each on a connection of its own, until a further pod at half of an equal share would have
/// answered, but for the plan's α.
///
/// # Errors
/// As [`super::run`].
pub fn discover(plan: &Plan) -> Result<Discovery, LoadError> {
    block_on(control(plan))
}

async fn control(plan: &Plan) -> Result<Discovery, LoadError> {
    let mut signals = Signals::new()?;
    let _ = machine::raise_open_files();
    fits(plan)?;
    let dialler = Arc::new(Dialler::new(plan)?);
    let mut prepared = Prepared::default();
    let addresses = reachable_addresses(plan, &dialler).await?;
    let mut pods = BTreeSet::new();
    loop {
        let identified = prepared.set_aside.identified();
        let enough = enough(&plan.claim, &pods);
        let Some(left) = NonZeroU64::new(enough.saturating_sub(identified)) else {
            break;
        };
        let round = round(plan, left);
        let (registry, shared) = preparation::stage(round, &dialler, &addresses, Reason::Discovery);
        let (signals, watch) = (&mut signals, &mut || {});
        prepared
            .send(&shared, Reason::Discovery, signals, watch)
            .await?;
        pods.extend(registry.groups());
        // The run itself says why nobody answers.
        if prepared.set_aside.identified() == identified {
            break;
        }
    }
    Ok(Discovery {
        pods: pods.into_iter().collect(),
        prepared,
    })
}

/// The responses after which no further pod at half of an equal share is likely, of any backend.
fn enough(claim: &Claim, pods: &BTreeSet<Group>) -> u64 {
    let alpha = claim.criterion.alpha;
    if claim.within.is_none() {
        return discovery_size(pods.len(), 1.0, alpha);
    }
    let pods: Vec<Group> = pods.iter().cloned().collect();
    let seen = claim.pods_seen(&pods).into_iter().zip(claim.split.shares());
    seen.filter(|&(_, &share)| share > 0.0)
        .map(|(pods, &share)| discovery_size(pods.map_or(0, NonZeroUsize::get), share, alpha))
        .fold(0, u64::max)
}

fn round(plan: &Plan, requests: NonZeroU64) -> Plan {
    let mut round = preparation::apart(plan);
    round.budget = Budget {
        requests: Some(requests),
        duration: None,
        ..plan.budget
    };
    round.load.connection_use = ConnectionUse::Requests(NonZeroU64::MIN);
    round.load.streams = NonZeroUsize::MIN;
    round
}

impl Discovery {
    /// Requests that were sent for it.
    pub fn requests(&self) -> u64 {
        self.prepared.set_aside.sent()
    }

    /// The plan for so many pods; who none finds says why in the run.
    ///
    /// # Errors
    /// One pod alone answered, or more than can be judged.
    pub fn plan(&self, plan: &Plan) -> Result<Plan, Unmeasured> {
        if self.pods.len() == 1 && plan.claim.within.is_none() {
            return Err(Unmeasured {
                code: "one_pod_alone",
                message: format!(
                    "one pod answered all of {}, and evenness takes two: is it the only one that is ready, \
                     or does the balancer go by what all requests share, the client's address, a header, a cookie? \
                     Vary that with --header, --cookie or machines of other addresses, or say how many pods there \
                     must be with --expect-even=N",
                    count(self.requests(), "request")
                ),
            });
        }
        plan.of_found(&self.pods).map_err(|error| Unmeasured {
            code: "setup",
            message: error.to_string(),
        })
    }

    /// Adds what was sent for it to the run that followed.
    pub fn add_to(self, measured: &mut Measured) {
        measured.set_aside.merge(&self.prepared.set_aside);
        measured.connections.add_earlier(self.prepared.connections);
        measured.by_address.merge(&self.prepared.addresses);
    }
}
