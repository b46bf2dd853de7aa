//! How the balancer chooses a pod, from the order of answers: a note, never a verdict.

use super::Finding;
use crate::claim::Claim;
use crate::format::p_value_with_log10;
use crate::measured::Measured;
use crate::stats::dealing::{Dealing, Dealt, dealt};
use crate::verdict::decision::Likeness;
use crate::verdict::{Evidence, Judgement};

/// The code where it can't be told.
const UNKNOWN: &str = "balancer_unknown";

/// The algorithm by which the pods of a run share its requests; `None` where nobody answered, or another claim
/// than that of equal shares is judged.
pub(super) fn note(
    claim: &Claim,
    measured: &Measured,
    evidence: &Evidence,
    judgement: &Judgement,
) -> Option<Finding> {
    let counts = &judgement.judged.counts;
    let n = counts.attributed();
    if !claim.split.is_of_pods() || claim.split.len() < 2 || n == 0 {
        return None;
    }
    let pods = counts.observed.len();
    if counts.observed.contains(&n) {
        return Some(by_key(n, pods, claim.criterion.alpha));
    }
    let changed = judgement.change.as_ref();
    if changed.is_some_and(|change| change.is_significant) {
        return Some(unknown("the pods' shares changed during the run"));
    }
    if measured.parts.len() > 1 {
        return Some(unknown("several machines sent the requests"));
    }
    if judgement.judged.likeness == Likeness::Alike {
        return Some(unknown(
            "it chooses a pod for a connection, and the connections' order is not looked at; send each request on a \
             connection of its own",
        ));
    }
    let labels = evidence.labels(&judgement.assignment.fixed);
    let in_flight = measured.trial.concurrency * measured.trial.streams;
    let found = dealt(&labels, pods, in_flight, claim.criterion.alpha);
    Some(found.map_or_else(too_few, |found| of_order(&found, in_flight)))
}

fn by_key(n: u64, pods: usize, alpha: f64) -> Finding {
    let chance = (1.0 - n as f64) * (pods as f64).ln();
    if chance > alpha.ln() {
        return too_few();
    }
    let message = format!(
        "the balancer seems to choose by a key (hash, sticky): all {n} requests have the same address, path and headers, \
         and one of {pods} pods answered them all (by chance: p {})",
        p_value_with_log10(chance.exp(), Some(chance / std::f64::consts::LN_10))
    );
    Finding::new("balancer_hash", message)
}

fn too_few() -> Finding {
    unknown("there are too few answers; send more (-n)")
}

fn unknown(why: &str) -> Finding {
    let message = format!("the balancer's algorithm can't be told: {why}");
    Finding::new(UNKNOWN, message)
}

fn of_order(found: &Dealt, in_flight: u64) -> Finding {
    let (short, long) = (found.short, found.long);
    let varies = format!(
        "the pods' counts vary {:.2} times as much as those of draws over blocks of {} requests, {:.2} times over {}",
        short.index, short.length, long.index, long.length
    );
    let smaller = "both error rates of the verdict are then smaller than promised";
    let (code, message) = match found.dealing {
        Dealing::ByChance => (
            "balancer_random",
            format!(
                "the balancer seems to draw a pod for each request (random): {varies}; without load least requests look the \
                 same"
            ),
        ),
        Dealing::InTurn => (
            "balancer_round_robin",
            format!("the balancer seems to deal in turn (round robin): {varies}; {smaller}"),
        ),
        Dealing::ByLoad => (
            "balancer_least_request",
            format!(
                "the balancer seems to go by what is in flight (least requests, of all pods or of two): {varies}, less than \
                 at random and more than in turn; {smaller}"
            ),
        ),
        Dealing::Regular => (
            UNKNOWN,
            format!(
                "the balancer deals in turn (round robin) or goes by what is in flight (least requests), which can't be told \
                 apart here: {varies}; {smaller}; send more (-n), or fewer at once (-c)"
            ),
        ),
        Dealing::Clumped => (
            UNKNOWN,
            format!("the balancer's algorithm can't be told: answers come in clumps: {varies}"),
        ),
        Dealing::Unknown => (
            UNKNOWN,
            format!(
                "the balancer's algorithm can't be told with {in_flight} in flight: {varies}; send more (-n), or fewer at \
                 once (-c)"
            ),
        ),
    };
    Finding::new(code, message)
        .with("short_block", short.length as f64)
        .with("short_dispersion", short.index)
        .with("long_block", long.length as f64)
        .with("long_dispersion", long.index)
        .with("growth_exponent", found.exponent)
}
