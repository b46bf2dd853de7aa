//! A share that depends on the load: a balancer that counts connections, or a backend that is full.

use super::{Finding, UNEXPLAINED};
use crate::claim::Claim;
use crate::format::{observed_shares, p_value};
use crate::stats::homogeneity::homogeneity;
use crate::verdict::{Outcome, VerdictName};

const CODE: &str = "share_depends_on_load";

/// Whether a short run with one request in flight would tell more: the split is off, and no known cause fits.
pub fn is_to_be_probed(outcome: &Outcome) -> bool {
    outcome.verdict == VerdictName::Fail && outcome.findings.iter().any(is_open)
}

fn is_open(finding: &Finding) -> bool {
    finding.code == UNEXPLAINED
}

/// Adds to the findings of a run what a short one with one request in flight showed.
pub fn alone(claim: &Claim, outcome: &mut Outcome, concurrency: u64, probe: &Outcome) {
    let (busy, alone) = (&outcome.counts.observed, &probe.counts.observed);
    let requests: u64 = alone.iter().sum();
    let Some(place) = outcome
        .findings
        .iter()
        .position(is_open)
        .filter(|_| requests > 0)
    else {
        return;
    };
    let alpha = claim.criterion.alpha;
    let shares_alone = observed_shares(&claim.split, &shares(alone));
    let differs =
        homogeneity(&[busy.clone(), alone.clone()], alpha).map_or(1.0, |test| test.p_value);
    if differs <= alpha {
        let message = format!(
            "the share depends on the load: {shares_alone} with one request in flight (a probe of {requests} requests after the \
             run), {} with {concurrency} (p {}): as happens when a balancer sends less to what is slow or full (least \
             connections, a limit of connections)",
            observed_shares(&claim.split, &shares(busy)),
            p_value(differs)
        );
        outcome.findings[place] = Finding::new(CODE, message)
            .with("p_value", differs)
            .with("probe_requests", requests as f64);
    } else {
        let finding = &mut outcome.findings[place];
        let suffix = format!(
            "; with one request in flight (a probe of {requests} requests after the run) {shares_alone}"
        );
        finding.message.push_str(&suffix);
        finding.evidence.push(("probe_requests", requests as f64));
    }
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| count as f64 / all).collect()
}
