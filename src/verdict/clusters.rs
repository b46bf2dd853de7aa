//! The rule where responses came several to a connection, and may repeat its backend.

use super::Verdict;
use super::decision::{
    Cause, Counts, Judged, Likeness, Method, Shared, conclude, described, judge, zero_weight_hit,
};
use crate::claim::Claim;
use crate::stats::dependence::{ConnectionSums, ConnectionTest};
use crate::stats::judge::Decision;
use crate::stats::permutation::homogeneity;

/// The connections of a run whose responses may depend on each other, by backend.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// Their sums; a further cell stands for workloads that are no backend of the split.
    pub sums: ConnectionSums,
    /// Responses of a sample of them: one row of as many cells for each connection, row after row.
    pub sample: Vec<u32>,
    /// Responses of the backends in each block of the dispatch order.
    pub windows: Vec<Vec<u64>>,
    /// What they are.
    pub shared_by: Shared,
}

/// Connections whose responses are significantly alike, and correlated by more than this, are judged on their
/// first responses alone.
pub const MOST_CORRELATION: f64 = 1.0 / 3.0;

/// Judges responses that came several to a connection.
///
/// Where connections keep to a backend, or few of them carry nearly all, the first response of each is judged:
/// those are independent draws. Else a verdict must hold by two variances, that of independent responses and
/// the one between connections; and by the first alone where connections balance one another.
pub fn judge_clustered(claim: &Claim, counts: Counts, clusters: &Clusters) -> Judged {
    let Claim {
        split, criterion, ..
    } = claim;
    let Clusters {
        sums,
        sample,
        windows,
        shared_by,
    } = clusters;
    let clustering = sums.clustering();
    let permuted = homogeneity(sample, split.len() + 1, claim.seed);
    let likeness = match permuted {
        None => Likeness::NotSeen,
        Some(test) if test.p_value > criterion.alpha => Likeness::NotSeen,
        Some(_) if sums.balance_p_value(windows) <= criterion.alpha => Likeness::InStep,
        Some(_) => Likeness::Alike,
    };
    let keeps_to_backend =
        likeness == Likeness::Alike && clustering.intraclass_correlation > MOST_CORRELATION;
    let test = sums.test(counts.unattributed, &claim.expected());
    let judged = match test.filter(|_| !keeps_to_backend) {
        _ if likeness == Likeness::InStep => judge(claim, counts),
        Some(test) => under_connections(claim, judge(claim, counts), test),
        None => judge_first_responses(claim, described(claim, counts), sums),
    };
    Judged {
        clustering: Some(clustering),
        likeness,
        shared_by: *shared_by,
        ..judged
    }
}

/// The verdict on independent responses that stands by the variance between connections too.
fn under_connections(claim: &Claim, judged: Judged, test: ConnectionTest) -> Judged {
    let stands = !judged.rests_on_a_test()
        || judged.stands_by(claim, test.fit_p_value, test.equivalence_p_value);
    let log10_p_value = if test.fit_p_value > judged.p_value {
        test.fit_p_value.log10()
    } else {
        judged.log10_p_value
    };
    let mut judged = Judged {
        method: judged.method.map(|_| Method::DesignEffect),
        p_value: judged.p_value.max(test.fit_p_value),
        log10_p_value,
        largest_p_value: judged.largest_p_value.max(test.fit_p_value),
        equivalence_p_value: judged.equivalence_p_value.max(test.equivalence_p_value),
        ..judged
    };
    if !stands {
        conclude(&claim.criterion, &mut judged, Decision::Inconclusive);
    }
    judged
}

fn judge_first_responses(claim: &Claim, judged: Judged, sums: &ConnectionSums) -> Judged {
    let Claim { split, .. } = claim;
    let first = sums.first_responses();
    let first_counts = Counts {
        observed: (0..split.len())
            .map(|backend| first.get(backend).copied().unwrap_or(0))
            .collect(),
        foreign: judged.counts.foreign,
        unattributed: sums.unidentified_first(),
    };
    let judged_first = judge(claim, first_counts);
    let (verdict, cause) = match zero_weight_hit(split, &judged.counts) {
        Some(backend) => (Verdict::Fail, Cause::ZeroWeightHit(backend)),
        None => (judged_first.verdict, judged_first.cause),
    };
    Judged {
        method: Some(Method::FirstResponse),
        p_value: judged_first.p_value,
        log10_p_value: judged_first.log10_p_value,
        largest_p_value: judged_first.largest_p_value,
        equivalence_p_value: judged_first.equivalence_p_value,
        verdict,
        cause,
        ..judged
    }
}
