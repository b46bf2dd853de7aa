//! Probabilities of single outcomes, on the logarithmic scale.
//!
//! Saddle-point expansion: C. Loader, *Fast and Accurate Computation of Binomial Probabilities*
//! (2000). It needs no table of factorials, and it loses no digits as counts grow, since it never
//! subtracts one large logarithm of a factorial from another.

use std::f64::consts::PI;

use super::cells::total;

/// [`stirling_error`] of 0 to 15, to the last digit (the series needs more terms there).
const STIRLING_ERRORS: [f64; 16] = [
    0.0,
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_3,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_87,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_848,
    0.005_554_733_551_962_801,
];

/// ln x! − [ln √(2πx) + x ln x − x]: what Stirling's formula lacks; `x` ≥ 0 need not be whole.
///
/// Defined as 0 at `x` = 0, where the callers treat Stirling's term apart.
pub fn stirling_error(x: f64) -> f64 {
    if x <= 15.0 {
        if x <= 0.0 {
            return 0.0;
        }
        if let Some(index) = (0..STIRLING_ERRORS.len()).find(|&index| index as f64 >= x)
            && index as f64 - x == 0.0
        {
            return STIRLING_ERRORS[index];
        }
        return stirling_error_by_recurrence(x);
    }
    let inverse_square = 1.0 / (x * x);
    let series = 1.0 / 1188.0 - inverse_square * (691.0 / 360_360.0);
    let series = 1.0 / 1680.0 - inverse_square * series;
    let series = 1.0 / 1260.0 - inverse_square * series;
    let series = 1.0 / 360.0 - inverse_square * series;
    (1.0 / 12.0 - inverse_square * series) / x
}

/// [`stirling_error`] of a small number that is not whole: δ(x) = δ(x + 1) + (x + ½) ln(1 + 1/x) − 1, up to
/// where the series is exact to rounding.
fn stirling_error_by_recurrence(x: f64) -> f64 {
    let mut shifted = x;
    let mut sum = 0.0;
    while shifted <= 15.0 {
        let log_ratio = if shifted < 1.0 {
            shifted.ln_1p() - shifted.ln()
        } else {
            shifted.recip().ln_1p()
        };
        sum += (shifted + 0.5) * log_ratio - 1.0;
        shifted += 1.0;
    }
    sum + stirling_error(shifted)
}

/// x ln(x/m) + m − x, without cancellation where `x` is near the mean `m` (Loader's `bd0`).
pub fn deviance(x: f64, mean: f64) -> f64 {
    if x <= 0.0 {
        return mean;
    }
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() - difference;
    }
    let ratio = difference / (x + mean);
    let square = ratio * ratio;
    let mut sum = difference * ratio;
    let mut term = 2.0 * x * ratio;
    for odd in (3_u32..).step_by(2) {
        term *= square;
        let next = sum + term / f64::from(odd);
        if next.total_cmp(&sum).is_eq() {
            break;
        }
        sum = next;
    }
    sum
}

/// ln of the binomial probability of `x` hits and `y` misses, where a hit has probability `p` and a
/// miss `q` = 1 − `p` (both given, so that the smaller one keeps its digits).
///
/// `x` and `y` ≥ 0 need not be whole: the formula is continued with the gamma function.
#[expect(
    clippy::many_single_char_names,
    reason = "the letters of the source's formulas"
)]
pub fn ln_binomial(x: f64, y: f64, p: f64, q: f64) -> f64 {
    if y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { x * ln_share(p, q) };
    }
    if x <= 0.0 {
        return y * ln_share(q, p);
    }
    if p <= 0.0 || q <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let n = x + y;
    stirling_error(n)
        - stirling_error(x)
        - stirling_error(y)
        - deviance(x, n * p)
        - deviance(y, n * q)
        + 0.5 * (n / (2.0 * PI * x) / y).ln()
}

/// The probability of `hits` in `trials` draws that each hit with chance `share`, from 0 to 1 inclusive.
pub fn binomial_probability(hits: u64, trials: u64, share: f64) -> f64 {
    let misses = trials.checked_sub(hits);
    misses.map_or(0.0, |misses| {
        ln_binomial(hits as f64, misses as f64, share, 1.0 - share).exp()
    })
}

/// ln `p`, taken from `q` = 1 − `p` where that one is the smaller and so the more exact.
fn ln_share(p: f64, q: f64) -> f64 {
    if q < p { (-q).ln_1p() } else { p.ln() }
}

/// ln of the Poisson probability of `x` ≥ 0 (which need not be whole) for a positive `mean`.
pub fn ln_poisson(x: f64, mean: f64) -> f64 {
    if x <= 0.0 {
        return -mean;
    }
    -stirling_error(x) - deviance(x, mean) - 0.5 * (2.0 * PI * x).ln()
}

/// ln of the multinomial probability of the counts `observed` under positive `shares` (sum 1).
///
/// `observed[i]` pairs with `shares[i]`. A multinomial is independent Poisson counts, given their sum.
pub fn ln_multinomial(observed: &[u64], shares: &[f64]) -> f64 {
    let n = total(observed) as f64;
    let cells: f64 = observed
        .iter()
        .zip(shares)
        .map(|(&count, &share)| ln_poisson(count as f64, n * share))
        .sum();
    cells - ln_poisson(n, n)
}

/// ln(e^`a` + e^`b`).
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a < b { (b, a) } else { (a, b) };
    if low == f64::NEG_INFINITY {
        high
    } else {
        high + (low - high).exp().ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::scipy_reference;

    #[test]
    fn stirling_error_is_continuous_where_the_series_takes_over_and_between_whole_numbers() {
        let gamma = statrs::function::gamma::ln_gamma(16.5);
        let below = gamma - 16.0 * 15.5_f64.ln() + 15.5 - 0.5 * (2.0 * PI).ln();
        assert!((stirling_error(15.5) - below).abs() < 1e-13);
        assert!((stirling_error(7.0 + 1e-9) - stirling_error(7.0)).abs() < 1e-10);
    }

    #[test]
    fn probabilities_of_a_small_binomial_are_the_textbook_ones() {
        let choose = [1.0, 5.0, 10.0, 10.0, 5.0, 1.0];
        for (x, ways) in choose.into_iter().enumerate() {
            let x = x as f64;
            let direct = ways * 0.3_f64.powf(x) * 0.7_f64.powf(5.0 - x);
            let density = ln_binomial(x, 5.0 - x, 0.3, 0.7).exp();
            assert!((density / direct - 1.0).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn a_certain_and_an_impossible_outcome_have_their_probabilities() {
        assert_eq!(ln_binomial(0.0, 9.0, 0.0, 1.0).exp(), 1.0);
        assert_eq!(ln_binomial(9.0, 0.0, 1.0, 0.0).exp(), 1.0);
        assert_eq!(ln_binomial(1.0, 9.0, 0.0, 1.0).exp(), 0.0);
        assert_eq!(ln_binomial(0.0, 9.0, 1.0, 0.0).exp(), 0.0);
    }

    #[test]
    fn a_multinomial_of_two_cells_is_the_binomial() {
        let multinomial = ln_multinomial(&[69, 30], &[0.7, 0.3]);
        assert!((multinomial - ln_binomial(69.0, 30.0, 0.7, 0.3)).abs() < 1e-13);
        assert!((ln_multinomial(&[1, 1, 1], &[0.5, 0.3, 0.2]).exp() - 0.18).abs() < 1e-15);
    }

    #[test]
    fn reference_values_are_reproduced() {
        for row in scipy_reference::of("stirling_remainder") {
            row.assert_close(stirling_error(row.number(0)), 1e-12);
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
            let stirling = (real - 0.5) * real.ln() - real + 0.5 * std::f64::consts::TAU.ln();
            let gamma = stirling + stirling_error(real);
            assert!((gamma - log_factorial).abs() < 1e-13 * log_factorial.max(1.0));
            log_factorial += real.ln();
        }
        // Γ(1/2) = √π
        let half = stirling_error(0.5) - 0.5 + 0.5 * std::f64::consts::TAU.ln();
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
