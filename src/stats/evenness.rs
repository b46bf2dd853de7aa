//! How many requests the evenness of pods takes, and what a silent pod can get.
//!
//! Equal shares are tested as any split is ([`super::goodness_of_fit`], [`super::equivalence`]); each of N
//! pods is expected to get 1/N, and tolerances are relative to that: 0.2 means that a pod may get between
//! 0.8 and 1.2 of its equal share.

use super::binomial::to_count;
use super::chi_square::normal_quantile;

/// What the planned number of requests exceeds the asymptotic one by, since counts are whole.
const MARGIN: f64 = 1.03;

/// The requests after which `pods` equal pods pass, and a pod that is off by `tolerance` (relative to its
/// share) does not, each with probability about 1 − `alpha`.
///
/// The farthest of N observed shares stays, but for `alpha`, within z₁₋α/₂ₙ·√(p(1−p)/n) of p = 1/N, and
/// the one-sided test at the edge b = p(1+τ) needs z₁₋α·√(b(1−b)/n) more (Schuirmann 1987).
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

/// The requests that bring `needed` responses of a backend that gets `share` of them, `quantile` standard
/// deviations beyond the mean.
///
/// Solves n·p = k + z·√(n·p(1−p)) for n.
pub fn drawn_for(needed: u64, share: f64, quantile: f64) -> u64 {
    let spread = quantile * (1.0 - share).max(0.0).sqrt();
    let root = f64::midpoint(spread, (spread * spread + 4.0 * needed as f64).sqrt());
    to_count((root * root / share).ceil())
}

/// The responses among which, when `seen` pods have answered, a further one at half of an equal share would
/// be, but for probability `alpha`; all of them get `share` of the requests.
pub fn discovery_size(seen: usize, share: f64, alpha: f64) -> u64 {
    let own = 0.5 * share / (seen + 1) as f64;
    to_count((alpha.ln() / (-own).ln_1p()).ceil())
}

/// The largest share that a pod which never answered in `responses` can have, at level `alpha`; at most 1.
pub fn most_of_silent_pod(responses: u64, alpha: f64) -> f64 {
    if responses == 0 {
        return 1.0;
    }
    -(alpha.ln() / responses as f64).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::equivalence::equivalence_p_value;
    use crate::stats::goodness_of_fit::goodness_of_fit;

    #[test]
    fn equal_counts_pass_at_the_planned_number_of_requests() {
        for pods in [2, 5, 25, 100, 200] {
            let each = sample_size(pods, 0.2, 0.001).div_ceil(pods as u64);
            let shares = vec![1.0 / pods as f64; pods];
            let p = equivalence_p_value(&vec![each; pods], &shares, 0.2 / pods as f64);
            assert!(p <= 0.001, "{pods}: {p}");
        }
    }

    #[test]
    fn one_pod_at_half_its_share_is_found_among_five_and_two_hundred() {
        for pods in [5_usize, 200] {
            let each = sample_size(pods, 0.2, 0.001) / pods as u64;
            let mut observed = vec![each; pods];
            observed[3] = each / 2;
            let shares = vec![1.0 / pods as f64; pods];
            let fit = goodness_of_fit(&observed, &shares, 0.001, 1)
                .unwrap()
                .unwrap();
            assert!(fit.p_value < 1e-6, "{pods}: {}", fit.p_value);
        }
    }

    #[test]
    fn a_pod_at_half_its_share_is_missed_as_seldom_as_promised() {
        for (seen, expected) in [(1, 25), (4, 66), (24, 342)] {
            let n = discovery_size(seen, 1.0, 0.001);
            assert_eq!(n, expected);
            let share = 0.5 / (seen as f64 + 1.0);
            let missed = (1.0 - share).powf(n as f64);
            assert!(missed <= 0.001 && missed > 0.0007, "{seen}: {missed}");
        }
    }

    #[test]
    fn a_backend_gets_as_many_responses_as_its_pods_need() {
        assert!(drawn_for(3000, 1.0, 3.09) <= 3001);
        let n = drawn_for(3000, 0.3, 3.09) as f64;
        let least = 0.3 * n - 3.09 * (n * 0.3 * 0.7).sqrt();
        assert!((2999.0..3002.0).contains(&least), "{least}");
    }

    #[test]
    fn a_silent_pod_is_bounded() {
        assert!((most_of_silent_pod(6310, 0.001) - 0.001_094).abs() < 1e-6);
        assert!((most_of_silent_pod(0, 0.001) - 1.0).abs() < f64::EPSILON);
    }
}
