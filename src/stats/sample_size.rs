//! How many requests a verdict takes.

use super::binomial::to_count;
use super::cells::positive;
use super::chi_square::{critical_value, normal_quantile};
use super::equivalence::tolerances;

/// What the planned number of requests exceeds the asymptotic one by, since counts are whole: at 70/30
/// and 5 points the measured error rates then are within the promise.
const MARGIN: f64 = 1.03;

/// The requests after which a correct split passes, and one that is off by the tolerance doesn't, each
/// with probability about 1 − `alpha`; before the margin that [`fixed_sample_size`] adds.
///
/// For every backend the observed share of a correct split stays, but for `alpha`, within
/// √(χ²₁₋α,ₖ₋₁·p(1−p)/n) of p, and the one-sided test (Schuirmann 1987) at its tolerance's worse edge b
/// needs z₁₋α·√(b(1−b)/n) more. Infinite for a tolerance of 0. One backend alone: the smallest n with
/// (1 − τ)ⁿ ≤ `alpha`.
pub fn asymptotic_sample_size(shares: &[f64], tolerance: f64, alpha: f64) -> f64 {
    let shares = positive(shares);
    let margins = tolerances(&shares, tolerance);
    if let [margin] = margins[..] {
        return (alpha.ln() / (-margin).ln_1p()).ceil();
    }
    let critical = critical_value(shares.len().saturating_sub(1), alpha);
    let quantile = normal_quantile(alpha);
    shares
        .iter()
        .zip(&margins)
        .map(|(&share, &margin)| {
            let variance = |edge: f64| (edge * (1.0 - edge)).max(0.0);
            let worse = variance(share + margin).max(variance(share - margin));
            let reach = (critical * variance(share)).sqrt() + quantile * worse.sqrt();
            (reach / margin).powi(2)
        })
        .fold(0.0, f64::max)
}

/// The requests that a fixed-sample verdict is planned with: [`asymptotic_sample_size`] and 3 % more.
///
/// The largest count there is where no number suffices (a tolerance of 0). It is also the n that would
/// settle an inconclusive run.
pub fn fixed_sample_size(shares: &[f64], tolerance: f64, alpha: f64) -> u64 {
    let n = asymptotic_sample_size(shares, tolerance, alpha);
    if positive(shares).len() < 2 {
        to_count(n)
    } else {
        to_count((MARGIN * n).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::equivalence::equivalence_p_value;

    #[test]
    fn the_published_sample_sizes_are_reproduced() {
        for (shares, tolerance, n) in [
            (vec![0.7, 0.3], 0.05, 3557.0),
            (vec![0.7, 0.3], 0.02, 21_748.0),
            (vec![0.7, 0.3], 0.1, 914.0),
            (vec![0.5, 0.5], 0.05, 4052.0),
            (vec![0.9, 0.1], 0.05, 1749.0),
            (vec![0.5, 0.3, 0.2], 0.05, 4613.0),
            (vec![0.99, 0.01], 0.05, 19_770.0),
        ] {
            let asymptotic = asymptotic_sample_size(&shares, tolerance, 0.001);
            assert!((asymptotic - n).abs() <= 1.0, "{shares:?}: {asymptotic}");
        }
        assert_eq!(fixed_sample_size(&[0.7, 0.3], 0.05, 0.001), 3664);
    }

    #[test]
    fn a_single_backend_needs_just_enough_to_refute_its_tolerance() {
        let n = fixed_sample_size(&[1.0, 0.0], 0.05, 0.001);
        assert!(equivalence_p_value(&[n, 0], &[1.0, 0.0], 0.05) <= 0.001);
        assert!(equivalence_p_value(&[n - 1, 0], &[1.0, 0.0], 0.05) > 0.001);
    }

    #[test]
    fn no_tolerance_needs_more_requests_than_there_are() {
        assert_eq!(fixed_sample_size(&[0.7, 0.3], 0.0, 0.001), u64::MAX);
        assert_eq!(fixed_sample_size(&[1.0], 0.0, 0.001), u64::MAX);
    }
}
