//! Do `pods` pods share the requests equally?
//!
//! `observed[i]` is the count of pod `i`; each of the N pods is expected to get 1/N, and tolerances are
//! relative to that: 0.2 means that a pod may get between 0.8 and 1.2 of its equal share.
//!
//! The fit is refuted in two ways, each at half the level (Bonferroni): by Pearson's statistic, which sees
//! many pods that are a little off, and by the one pod that is farthest off, which Pearson's N − 1 degrees
//! of freedom hide among hundreds.

use super::binomial::{Binomial, to_count};
use super::chi_square::{ChiSquare, normal_quantile, pearson};
use super::equivalence::equivalence_p_value_with_design_effect;
use super::exact::{PValue, binomial_p_value};

/// The largest number of pods whose evenness is judged.
pub const MAX_PODS: usize = 1000;

/// What the planned number of requests exceeds the asymptotic one by, since counts are whole.
const MARGIN: f64 = 1.03;

/// The tests of one set of pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evenness {
    /// Pearson's test of the counts as they are.
    pub chi_square: ChiSquare,
    /// The p-value of "the pods share equally", in `0..=1`.
    pub p_value: f64,
    /// The p-value of "some pod is off by the tolerance or more", in `0..=1`.
    pub equivalence_p_value: f64,
    /// The pod that is farthest from its equal share, in standard deviations; an index into `observed`.
    pub farthest: usize,
}

/// Tests counts against equal shares; `None` where there is nothing to test: no pod, or no response.
///
/// `design_effect` ≥ 1 says how many responses carry the information of one (Kish 1965); every count is
/// divided by it. `unattributed` further responses could have come from any of the pods.
#[must_use]
pub fn evenness(
    observed: &[u64],
    unattributed: u64,
    tolerance: f64,
    design_effect: f64,
) -> Option<Evenness> {
    let pods = observed.len();
    let share = 1.0 / pods as f64;
    let shares = vec![share; pods];
    let design_effect = design_effect.max(1.0);
    let information: Vec<u64> = observed
        .iter()
        .map(|&count| to_count((count as f64 / design_effect).round()))
        .collect();
    let n: u64 = information.iter().sum();
    let chi_square = pearson(observed, &shares)?;
    let deflated = pearson(&information, &shares)?;
    let (farthest, p_of_farthest) = farthest(&information, n, share);
    Some(Evenness {
        chi_square,
        p_value: (2.0 * deflated.p_value.min(p_of_farthest.value)).min(1.0),
        equivalence_p_value: equivalence_p_value_with_design_effect(
            observed,
            unattributed,
            &shares,
            tolerance * share,
            design_effect,
        ),
        farthest,
    })
}

/// The pod whose count is the least probable, and the p-value of that for all pods (Bonferroni).
fn farthest(observed: &[u64], n: u64, share: f64) -> (usize, PValue) {
    let mean = n as f64 * share;
    let distance = |&(_, &count): &(usize, &u64)| (count as f64 - mean).abs();
    let most = observed
        .iter()
        .enumerate()
        .max_by(|a, b| distance(a).total_cmp(&distance(b)));
    most.map_or((0, PValue::from_ln(0.0)), |(pod, &count)| {
        let p = binomial_p_value(count, n, share);
        let ln = p.value.ln() + (observed.len() as f64).ln();
        (pod, PValue::from_ln(ln.min(0.0)))
    })
}

/// The requests after which `pods` equal pods pass, and a pod that is off by `tolerance` (relative to its
/// share) does not, each with probability about 1 − `alpha`.
///
/// The farthest of N observed shares stays, but for `alpha`, within z₁₋α/₂ₙ·√(p(1−p)/n) of p = 1/N, and
/// the one-sided test at the edge b = p(1+τ) needs z₁₋α·√(b(1−b)/n) more (Schuirmann 1987).
#[must_use]
pub fn sample_size(pods: usize, tolerance: f64, alpha: f64) -> u64 {
    if pods < 2 {
        return 1;
    }
    let share = 1.0 / pods as f64;
    let edge = (share * (1.0 + tolerance)).min(1.0);
    let variance = |share: f64| share * (1.0 - share);
    let reach = normal_quantile(alpha / (2.0 * pods as f64)) * variance(share).sqrt()
        + normal_quantile(alpha) * variance(edge).max(variance(share)).sqrt();
    to_count((MARGIN * (reach / (tolerance * share)).powi(2)).ceil())
}

/// The responses after which a pod with half the equal share of `seen` + 1 pods would have answered, with
/// probability 1 − `alpha`: (1 − p/2)ⁿ ≤ α.
#[must_use]
pub fn responses_for_discovery(seen: usize, alpha: f64) -> u64 {
    let half = 0.5 / (seen as f64 + 1.0);
    to_count((alpha.ln() / (-half).ln_1p()).ceil())
}

/// The largest share that a pod which never answered in `responses` can have, at level `alpha`; at most 1.
#[must_use]
pub fn most_of_silent_pod(responses: u64, alpha: f64) -> f64 {
    if responses == 0 {
        return 1.0;
    }
    -(alpha.ln() / responses as f64).exp_m1()
}

/// Whether a pod that expects 1/N of `responses` would have answered but for probability `alpha`, where any
/// of the N pods may be the one that did not.
#[must_use]
pub fn silence_p_value(pods: usize, responses: u64) -> f64 {
    let share = 1.0 / pods.max(1) as f64;
    let none = Binomial::new(responses, share).ln_at_most(0);
    (none + (pods as f64).ln()).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_counts_pass_at_the_planned_number_of_requests() {
        for pods in [2, 5, 25, 100, 500] {
            let n = sample_size(pods, 0.2, 0.001);
            let each = n.div_ceil(pods as u64);
            let tested = evenness(&vec![each; pods], 0, 0.2, 1.0).unwrap();
            assert!(tested.p_value > 0.9, "{pods}");
            assert!(tested.equivalence_p_value <= 0.001, "{pods}");
        }
    }

    #[test]
    fn one_pod_at_half_its_share_is_found_and_named_among_five_and_five_hundred() {
        for pods in [5_usize, 500] {
            let each = sample_size(pods, 0.2, 0.001) / pods as u64;
            let mut observed = vec![each; pods];
            observed[3] = each / 2;
            let tested = evenness(&observed, 0, 0.2, 1.0).unwrap();
            assert!(tested.p_value < 1e-12, "{pods}: {}", tested.p_value);
            assert_eq!(tested.farthest, 3);
        }
    }

    #[test]
    fn responses_without_identity_and_dependence_weaken_the_claim() {
        let observed = [1300, 1260, 1240, 1250, 1262];
        let p = |unattributed, design_effect| {
            let tested = evenness(&observed, unattributed, 0.2, design_effect).unwrap();
            tested.equivalence_p_value
        };
        assert!(p(0, 1.0) <= 0.001);
        assert!(p(200, 1.0) > p(0, 1.0));
        assert!(p(0, 6.0) > 0.001);
    }

    #[test]
    fn discovery_waits_for_a_pod_of_half_the_equal_share() {
        let n = responses_for_discovery(4, 0.001);
        assert!(0.9_f64.powf(n as f64) <= 0.001 && 0.9_f64.powf(n as f64 - 1.0) > 0.001);
    }

    #[test]
    fn a_silent_pod_is_bounded_and_refuted_when_it_should_have_answered() {
        assert!((most_of_silent_pod(6310, 0.001) - 0.001_094).abs() < 1e-6);
        assert!((most_of_silent_pod(0, 0.001) - 1.0).abs() < f64::EPSILON);
        assert!(silence_p_value(5, 100) < 1e-8);
        assert!(silence_p_value(5, 5) > 0.5);
    }

    #[test]
    fn nothing_is_tested_without_pods_or_responses() {
        assert_eq!(evenness(&[], 0, 0.2, 1.0), None);
        assert_eq!(evenness(&[0, 0], 0, 0.2, 1.0), None);
    }
}
