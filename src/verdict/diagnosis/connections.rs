//! Fresh connections against kept ones: does who keeps its connection get what who opens a new one gets?

use super::Finding;
use crate::claim::Claim;
use crate::format::observed_shares;
use crate::plan::ConnectionUse;
use crate::verdict::{Outcome, VerdictName};

/// The code where a connection keeps its backend.
const PINNED: &str = "pinned_by_connection";
/// The codes by which a run of kept connections says so.
const KEPT: [&str; 2] = [PINNED, "per_connection_balancing"];

/// Adds to the findings of a run what another showed, the same over connections that are used in the other way.
pub fn compared(
    claim: &Claim,
    outcome: &mut Outcome,
    own: ConnectionUse,
    (other, seen): (ConnectionUse, &Outcome),
) {
    let describe = |how: ConnectionUse, outcome: &Outcome| {
        format!(
            "{}: {}, {}",
            manner(how),
            word(outcome.verdict),
            shares(claim, outcome)
        )
    };
    let mut both = [
        (own, describe(own, outcome)),
        (other, describe(other, seen)),
    ];
    both.sort_by_key(|(how, _)| !how.is_fresh());
    let both = both.map(|(_, text)| text).join("; ");
    let kept = if own.is_fresh() { seen } else { &*outcome };
    let what = if claim.split.is_of_pods() {
        "pod"
    } else {
        "backend"
    };
    let is_pinned = kept.findings.iter().any(|found| KEPT.contains(&found.code));
    let finding = if is_pinned {
        let message = format!(
            "{both}: a connection keeps its {what}, so that clients of few connections (HTTP/2, gRPC, pools) load few {what}s; \
             balance requests (an ingress, a mesh, the client), or have clients reconnect now and then"
        );
        Finding::new(PINNED, message)
    } else {
        let message = format!("{both}: no connection keeps its {what}");
        Finding::new("connections_compared", message)
    };
    let finding =
        [(own, &*outcome), (other, seen)]
            .into_iter()
            .fold(finding, |finding, (how, outcome)| {
                let [hottest, coldest] = if how.is_fresh() {
                    ["fresh_hottest_ratio", "fresh_coldest_ratio"]
                } else {
                    ["kept_hottest_ratio", "kept_coldest_ratio"]
                };
                let ratios = ratios(claim, outcome);
                let figure = |ratio: Option<f64>| ratio.unwrap_or(f64::NAN);
                finding
                    .with(hottest, figure(ratios.map(|(_, hot)| hot)))
                    .with(coldest, figure(ratios.map(|(cold, _)| cold)))
            });
    outcome.findings.retain(|found| found.code != PINNED);
    outcome.findings.insert(0, finding);
}

fn manner(how: ConnectionUse) -> String {
    match how {
        ConnectionUse::Requests(_) if how.is_fresh() => "a connection for each request".to_owned(),
        ConnectionUse::Requests(requests) => format!("{requests} requests a connection"),
        ConnectionUse::KeepAlive => "kept connections".to_owned(),
    }
}

fn word(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Pass => "PASS",
        VerdictName::Fail => "FAIL",
        VerdictName::Inconclusive => "INCONCLUSIVE",
        VerdictName::Error => "not measured",
        VerdictName::Measured => "not judged",
    }
}

/// What the backends got, of pods in multiples of their equal share.
fn shares(claim: &Claim, outcome: &Outcome) -> String {
    let n = outcome.counts.observed.iter().sum::<u64>();
    if n == 0 {
        return "nothing was attributed".to_owned();
    }
    if let Some((coldest, hottest)) = ratios(claim, outcome) {
        return format!("pods get {coldest:.2} to {hottest:.2} × an equal share");
    }
    let counts = outcome.counts.observed.iter();
    let shares: Vec<f64> = counts.map(|&count| count as f64 / n as f64).collect();
    observed_shares(&claim.split, &shares)
}

/// The least and the most that pods got of an equal share.
fn ratios(claim: &Claim, outcome: &Outcome) -> Option<(f64, f64)> {
    let observed = &outcome.counts.observed;
    let n = observed.iter().sum::<u64>();
    if !claim.split.is_of_pods() || n == 0 {
        return None;
    }
    let ratio = |count: u64| count as f64 * observed.len() as f64 / n as f64;
    Some((
        ratio(observed.iter().copied().min()?),
        ratio(observed.iter().copied().max()?),
    ))
}
