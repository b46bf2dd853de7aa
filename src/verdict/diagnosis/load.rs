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

/// Adds to the findings of a run what a short one with one request in flight showed. Where the share changed while the load
/// stayed the same, it may be another after the run for that reason alone.
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
    let change = outcome.change.as_ref();
    let has_moved = change.is_some_and(|change| change.is_significant);
    if differs <= alpha && !has_moved {
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
        if differs <= alpha {
            let time = ", but the share changed during the run too: time may account for that as well as the load";
            finding.message.push_str(time);
        }
        finding.evidence.push(("probe_requests", requests as f64));
    }
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| count as f64 / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Criterion;
    use crate::identity::assignment::Mappings;
    use crate::split::Split;
    use crate::stats::judge::Judge;
    use crate::verdict::{Evidence, judge_counts};

    /// The code of the finding once 400 requests one at a time are split in halves; `is_second(request)` says which backend
    /// answered before.
    fn code(is_second: impl Fn(u64) -> bool) -> &'static str {
        let split: Split = "v1=50,v2=50".parse().unwrap();
        let mappings = Mappings::parse(split.labels(), &[]).unwrap();
        let criterion = Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01).unwrap();
        let claim = Claim::new(split, criterion, 1);
        let outcome = |requests: u64, is_second: &dyn Fn(u64) -> bool| {
            let block = |block: u64| {
                let second = (16 * block..16 * block + 16).filter(|&request| is_second(request));
                let second = second.count() as u64;
                vec![16 - second, second]
            };
            let windows: Vec<Vec<u64>> = (0..requests / 16).map(block).collect();
            let sum = |backend: usize| windows.iter().map(|window| window[backend]).sum();
            let evidence = Evidence {
                groups: vec![mappings.group("v1"), mappings.group("v2")],
                observed: vec![sum(0), sum(1)],
                windows,
                ..Evidence::default()
            };
            judge_counts(&claim, &evidence)
        };
        let mut busy = outcome(4096, &is_second);
        assert_eq!(busy.verdict, VerdictName::Fail);
        busy.findings.push(Finding::new(UNEXPLAINED, "it is off"));
        let probe = outcome(400, &|request| request.is_multiple_of(2));
        alone(&claim, &mut busy, 50, &probe);
        busy.findings[0].code
    }

    #[test]
    fn a_share_that_changed_under_the_same_load_is_not_said_to_depend_on_it() {
        assert_eq!(code(|request| request.is_multiple_of(4)), CODE);
        let workers_get_apart = |request: u64| {
            let (of, in_16) = if request < 2048 { (4, 4) } else { (5, 3) };
            request % 16 < of * in_16 && (request % 16).is_multiple_of(in_16)
        };
        assert_eq!(code(workers_get_apart), UNEXPLAINED);
    }
}
