//! A header or cookie that is to lead to one backend, and does not. Its value may be a secret, and is not told.

use super::Finding;
use crate::claim::Claim;
use crate::measured::Measured;
use crate::verdict::{Judgement, Verdict};

/// Puts a value that no rule knows in place of what the weights then look like.
pub(super) fn beside(
    claim: &Claim,
    measured: &Measured,
    judgement: &Judgement,
    mut found: Vec<Finding>,
) -> Vec<Finding> {
    let split = &claim.split;
    let observed = &judgement.judged.counts.observed;
    let Some(meant) = split.shares().iter().position(|&share| share >= 1.0) else {
        return found;
    };
    let others: u64 = observed.iter().sum::<u64>() - observed[meant];
    let sent = measured.trial.routing_header.as_ref();
    let Some((name, value)) = sent.filter(|_| others > 0 && judgement.verdict == Verdict::Fail)
    else {
        return found;
    };
    let all = others + observed[meant];
    let remedy = if value == "always" {
        "check that a rule goes by this header"
    } else if name == "cookie" {
        "ingress-nginx knows only the values always and never of the cookie that canary-by-cookie names"
    } else {
        "ingress-nginx knows only the values always and never, unless canary-by-header-value or \
         canary-by-header-pattern has another"
    };
    let message = format!(
        "the header {name} is sent and does not lead to {}: {others} of {all} requests went elsewhere, as happens when no \
         rule knows its value and the weights decide; {remedy}",
        split.labels()[meant]
    );
    found.retain(|finding| {
        ![
            "canary_weight_total_ignored",
            "cookie_affinity",
            super::UNEXPLAINED,
        ]
        .contains(&finding.code)
    });
    let finding = Finding::new("canary_header_ignored", message);
    found.insert(
        0,
        finding.with("elsewhere_share", others as f64 / all as f64),
    );
    found
}
