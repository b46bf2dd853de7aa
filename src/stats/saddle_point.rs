//! The two ingredients of saddle-point expansions: Stirling's remainder and the deviance.
//!
//! Log-likelihoods written with them lose no digits to cancellation, however large the counts
//! (C. Loader, *Fast and Accurate Computation of Binomial Probabilities*, 2000).

use std::f64::consts::TAU;

/// From here on the asymptotic series of [`stirling_remainder`] is exact to rounding: its first
/// omitted term, 691/(360360 y¹¹), is below 2e-16.
const SERIES_FROM: f64 = 16.0;

/// `lnΓ(y) − [(y − ½) ln y − y + ½ ln 2π]` for `y > 0`.
///
/// The asymptotic series (Abramowitz & Stegun 6.1.41) from 16 on; below it the recurrence
/// `δ(y) = δ(y + 1) + (y + ½) ln(1 + 1/y) − 1`.
#[must_use]
pub fn stirling_remainder(y: f64) -> f64 {
    let mut shifted = y;
    let mut sum = 0.0;
    while shifted < SERIES_FROM {
        let log_ratio = if shifted < 1.0 {
            shifted.ln_1p() - shifted.ln()
        } else {
            shifted.recip().ln_1p()
        };
        sum += (shifted + 0.5) * log_ratio - 1.0;
        shifted += 1.0;
    }
    let inverse = shifted.recip();
    let square = inverse * inverse;
    let series = 1.0 / 12.0
        - square
            * (1.0 / 360.0
                - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square * (1.0 / 1188.0))));
    sum + series * inverse
}

/// `x ln(x/mean) + mean − x`, at least 0, for `x ≥ 0` and `mean > 0`; accurate also where `x` is
/// close to `mean` (Loader's `bd0`).
#[must_use]
pub fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return if x > 0.0 {
            x * (x / mean).ln() - difference
        } else {
            mean
        };
    }
    let ratio = difference / (x + mean);
    let mut sum = difference * ratio;
    let mut term = 2.0 * x * ratio;
    // The ratio is below 0.1: each term is a hundredth of the one before it.
    for odd in (3..40).step_by(2) {
        term *= ratio * ratio;
        let next = sum + term / f64::from(odd);
        if next.to_bits() == sum.to_bits() {
            break;
        }
        sum = next;
    }
    sum
}

/// The probability of `hits` in `trials` draws that each hit with chance `share`, from 0 to 1 inclusive.
///
/// Loader's form; relative error a few 1e-16 times the logarithm of the result.
#[must_use]
pub fn binomial_probability(hits: u64, trials: u64, share: f64) -> f64 {
    if hits > trials {
        return 0.0;
    }
    let (x, n) = (hits as f64, trials as f64);
    let miss = 1.0 - share;
    if share <= 0.0 {
        return if hits == 0 { 1.0 } else { 0.0 };
    }
    if miss <= 0.0 {
        return if hits == trials { 1.0 } else { 0.0 };
    }
    if hits == 0 {
        return (n * (-share).ln_1p()).exp();
    }
    if hits == trials {
        return (n * share.ln()).exp();
    }
    // n! = n·Γ(n), so that Loader's remainder of ln n! is that of lnΓ(n).
    let remainder = stirling_remainder(n) - stirling_remainder(x) - stirling_remainder(n - x);
    let exponent = remainder - deviance(x, n * share) - deviance(n - x, n * miss);
    exponent.exp() * (n / (TAU * x * (n - x))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::scipy_reference;

    #[test]
    fn reference_values_are_reproduced() {
        for row in scipy_reference::of("stirling_remainder") {
            row.assert_close(stirling_remainder(row.number(0)), 1e-12);
        }
        for row in scipy_reference::of("deviance") {
            row.assert_close(deviance(row.number(0), row.number(1)), 1e-13);
        }
        for row in scipy_reference::of("binomial_probability") {
            let (hits, trials) = (row.counts(0)[0], row.counts(1)[0]);
            row.assert_close(binomial_probability(hits, trials, row.number(2)), 1e-12);
        }
    }

    #[test]
    fn the_remainder_gives_factorials_back() {
        let mut log_factorial = 0.0_f64;
        for y in 1..60_u32 {
            let real = f64::from(y);
            let stirling = (real - 0.5) * real.ln() - real + 0.5 * TAU.ln();
            let gamma = stirling + stirling_remainder(real);
            assert!((gamma - log_factorial).abs() < 1e-13 * log_factorial.max(1.0));
            log_factorial += real.ln();
        }
        // Γ(1/2) = √π
        let half = stirling_remainder(0.5) - 0.5 + 0.5 * TAU.ln();
        assert!((half - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-14);
    }

    #[test]
    fn the_deviance_is_smooth_where_its_branches_meet() {
        let direct = |x: f64, mean: f64| x * (x / mean).ln() + mean - x;
        for x in [81.0, 82.0, 99.0, 101.0, 120.0, 122.0, 124.0] {
            assert!((deviance(x, 100.0) - direct(x, 100.0)).abs() < 1e-13);
        }
        assert!(deviance(5.0, 5.0).abs() < f64::MIN_POSITIVE);
        assert!((deviance(0.0, 3.0) - 3.0).abs() < f64::EPSILON);
        // ε²/2 of the mean, to full precision where direct evaluation keeps three digits.
        assert!((deviance(1e9 + 1.0, 1e9) / 5e-10 - 1.0).abs() < 1e-8);
    }

    #[test]
    fn binomial_probabilities_sum_to_one() {
        for (trials, share) in [(1, 0.3), (20, 0.7), (1000, 0.01), (5000, 0.5)] {
            let sum: f64 = (0..=trials)
                .map(|hits| binomial_probability(hits, trials, share))
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{trials} {share}: {sum}");
        }
        assert!((binomial_probability(3, 5, 0.3) - 0.1323).abs() < 1e-15);
        assert!(binomial_probability(6, 5, 0.3) < f64::MIN_POSITIVE);
        assert!((binomial_probability(5, 5, 1.0) - 1.0).abs() < f64::EPSILON);
    }
}
