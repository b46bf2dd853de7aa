//! A short run with one request in flight, after a FAIL that no known cause explains: does the share depend on
//! the load?

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::output::{self, OutputArgs};
use crate::load;
use crate::measured::Measured;
use crate::plan::preparation::Preparation;
use crate::plan::{Budget, LoadShape, Plan};
use crate::tally::pods::PodRegistry;
use crate::verdict::diagnosis::{alone, is_to_be_probed};
use crate::verdict::{self, Outcome};

/// Enough to tell a share of 10 % from one of 3 %, with a chance above 99 %.
const REQUESTS: NonZeroU64 = NonZeroU64::new(400).unwrap();
/// It takes no longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Probes where that would tell more, and adds what it showed to the findings of `outcome`.
pub(super) fn probe(plan: &Plan, measured: &Measured, outcome: &mut Outcome, args: &OutputArgs) {
    let trial = &measured.trial;
    let left = plan.budget.max_duration.saturating_sub(measured.elapsed);
    let is_alone = trial.concurrency * trial.streams < 2;
    let is_open =
        measured.limiter.is_none() && !outcome.interrupted && !plan.claim.split.is_of_pods();
    if is_alone || !is_open || left < LONGEST || !is_to_be_probed(outcome) {
        return;
    }
    if !args.quiet {
        output::note(&format!(
            "the split is off: up to {REQUESTS} requests, one at a time, tell whether the load matters"
        ));
    }
    let probe = of_one(plan);
    let registry = PodRegistry::shared(plan.mappings.clone());
    let seen = load::measure(&probe, &registry, &mut |_| {});
    let judged = verdict::judge(&probe.claim, &seen);
    alone(
        &plan.claim,
        outcome,
        trial.concurrency * trial.streams,
        &judged,
    );
}

/// The same requests, few and one after the other.
fn of_one(plan: &Plan) -> Plan {
    Plan {
        budget: Budget {
            requests: Some(REQUESTS),
            duration: None,
            max_duration: LONGEST,
        },
        load: LoadShape {
            concurrency: NonZeroUsize::MIN,
            threads: NonZeroUsize::MIN,
            streams: NonZeroUsize::MIN,
            ..plan.load
        },
        preparation: Preparation::default(),
        sequential: false,
        snapshot: None,
        ..plan.clone()
    }
}
