//! Pearson's chi-square test and the χ² tail.
//!
//! `statrs::stats_tests::chisquare` is not used: it takes 1 − cdf, exactly 0 from p ≈ 1e-16 on, and a
//! zero expectation makes it NaN, which no comparison with a significance level would reject.

use std::f64::consts::{LN_10, SQRT_2};

use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::erf::erfc_inv;
use statrs::function::gamma::ln_gamma;

use super::cells::{Cells, total};

/// Pearson's statistic and its asymptotic tail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// X² = Σ (observed − expected)² / expected; infinite if a zero-weight backend was hit.
    pub statistic: f64,
    /// Backends of positive share, less one.
    pub degrees_of_freedom: usize,
    /// P[χ² ≥ X²]; 1 at zero degrees of freedom.
    pub p_value: f64,
    /// log₁₀ of it, which stays finite where the p-value underflows; −∞ if a zero-weight backend was hit.
    pub log10_p_value: f64,
}

/// Pearson's goodness-of-fit test (1900); `None` where nothing was observed.
///
/// # Panics
/// If the slices differ in length.
pub fn pearson(observed: &[u64], shares: &[f64]) -> Option<ChiSquare> {
    let cells = Cells::new(observed, shares);
    if total(observed) == 0 {
        return None;
    }
    let degrees_of_freedom = cells.shares.len().saturating_sub(1);
    let statistic = if cells.leaked > 0 {
        f64::INFINITY
    } else {
        statistic(&cells.observed, &cells.shares)
    };
    Some(if degrees_of_freedom == 0 && cells.leaked == 0 {
        ChiSquare {
            statistic: 0.0,
            degrees_of_freedom,
            p_value: 1.0,
            log10_p_value: 0.0,
        }
    } else {
        ChiSquare {
            statistic,
            degrees_of_freedom,
            p_value: survival(statistic, degrees_of_freedom),
            log10_p_value: ln_survival(statistic, degrees_of_freedom) / LN_10,
        }
    })
}

/// Σ (observed − expected)² / expected over positive `shares`.
pub(crate) fn statistic(observed: &[u64], shares: &[f64]) -> f64 {
    let n = total(observed) as f64;
    observed
        .iter()
        .zip(shares)
        .map(|(&count, &share)| {
            let expected = n * share;
            (count as f64 - expected).powi(2) / expected
        })
        .sum()
}

/// P[χ² ≥ `statistic`]; with zero degrees of freedom the distribution is all at 0.
pub fn survival(statistic: f64, degrees_of_freedom: usize) -> f64 {
    if statistic.is_nan() {
        return f64::NAN;
    }
    if statistic <= 0.0 {
        return 1.0;
    }
    ChiSquared::new(degrees_of_freedom as f64).map_or(0.0, |chi_squared| chi_squared.sf(statistic))
}

/// ln P[χ² ≥ `statistic`], finite wherever the statistic is.
///
/// Below what `f64` holds: the prefactor of Γ(a, x) on the logarithmic scale, and Legendre's continued
/// fraction for the rest (NIST DLMF 8.9.2), which converges at once for so large a statistic.
pub fn ln_survival(statistic: f64, degrees_of_freedom: usize) -> f64 {
    let p = survival(statistic, degrees_of_freedom);
    if p > 1e-290 || p.is_nan() {
        return p.ln();
    }
    if degrees_of_freedom == 0 || statistic.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let shape = degrees_of_freedom as f64 / 2.0;
    let x = statistic / 2.0;
    // Evaluated from its far end, with so many terms that the first one left out is negligible.
    let fraction = (1..=200).rev().map(f64::from).fold(0.0, |below, j| {
        j * (j - shape) / (x + 2.0 * j + 1.0 - shape - below)
    });
    shape * x.ln() - x - ln_gamma(shape) - (x + 1.0 - shape - fraction).ln()
}

/// What P[χ² ≥ `statistic`] must be multiplied by to be P[X² ≥ `statistic`], X² Pearson's statistic of `n` responses to
/// positive `shares`: the term of order 1/n (Siotani & Fujikoshi 1984; Read & Cressie 1988, §5.2). Positive.
pub(crate) fn correction(statistic: f64, shares: &[f64], n: u64) -> f64 {
    let cells = shares.len();
    if cells < 2 || n == 0 {
        return 1.0;
    }
    let k = cells as f64;
    let reciprocals: f64 = shares.iter().map(|share| share.recip()).sum();
    let terms = [
        2.0 * (1.0 - reciprocals),
        3.0 * (3.0 * reciprocals - k * (k + 2.0)),
        -6.0 * (2.0 * reciprocals - k * (k + 2.0) + 1.0),
        5.0 * reciprocals - 3.0 * k * (k + 2.0) + 4.0,
    ];
    let ln_tail = |more: usize| ln_survival(statistic, cells - 1 + 2 * more);
    let central = ln_tail(0);
    let sum: f64 = (0..4)
        .zip(terms)
        .map(|(more, term)| term * (ln_tail(more) - central).exp())
        .sum();
    // The series is of use near 1 alone; where it is not, it still says no impossible thing.
    (1.0 + sum / (24.0 * n as f64)).max(0.5)
}

/// The statistic that χ² exceeds with probability `alpha` in `0..1`.
pub fn critical_value(degrees_of_freedom: usize, alpha: f64) -> f64 {
    match degrees_of_freedom {
        0 => 0.0,
        1 => normal_quantile(alpha / 2.0).powi(2),
        _ => {
            let mut high = 1.0;
            while survival(high, degrees_of_freedom) > alpha && high < f64::MAX {
                high *= 2.0;
            }
            first_where(0.0, high, |x| survival(x, degrees_of_freedom) <= alpha)
        }
    }
}

/// The standard normal value that is exceeded with probability `alpha` in `0..1`.
pub fn normal_quantile(alpha: f64) -> f64 {
    SQRT_2 * erfc_inv(2.0 * alpha)
}

/// P[Z ≥ `z`] of a standard normal Z, by way of Z² (`statrs`' `erfc` is only good to 1e-10).
pub(crate) fn normal_survival(z: f64) -> f64 {
    let beyond = 0.5 * survival(z * z, 1);
    if z < 0.0 { 1.0 - beyond } else { beyond }
}

/// The smallest point of `low..=high`, to the last digits, at which a condition begins to hold;
/// `high` where it never does.
pub(crate) fn first_where(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_69_of_99_fit_70_to_30() {
        let test = pearson(&[69, 30], &[0.7, 0.3]).unwrap();
        assert!((test.statistic - 0.004_329_004_329_00).abs() < 1e-14);
        assert!((test.p_value - 0.947_540_902_088).abs() < 1e-12);
        assert_eq!(test.degrees_of_freedom, 1);
    }

    #[test]
    fn nothing_observed_is_nothing_tested() {
        assert_eq!(pearson(&[0, 0], &[0.7, 0.3]), None);
    }

    #[test]
    fn zero_weight_backend_is_dropped_unhit_and_refutes_when_hit() {
        let unhit = pearson(&[69, 30, 0], &[0.7, 0.3, 0.0]);
        assert_eq!(unhit, pearson(&[69, 30], &[0.7, 0.3]));
        let hit = pearson(&[69, 30, 1], &[0.7, 0.3, 0.0]).unwrap();
        assert_eq!((hit.statistic, hit.p_value), (f64::INFINITY, 0.0));
        let single = pearson(&[50, 0], &[1.0, 0.0]).unwrap();
        assert_eq!((single.degrees_of_freedom, single.p_value), (0, 1.0));
        let single_hit = pearson(&[50, 1], &[1.0, 0.0]).unwrap();
        assert_eq!(
            (single_hit.statistic, single_hit.p_value),
            (f64::INFINITY, 0.0)
        );
    }

    #[test]
    fn the_logarithmic_tail_joins_the_linear_one() {
        for degrees_of_freedom in [1, 2, 3, 9, 49, 254] {
            let near = critical_value(degrees_of_freedom, 1e-289);
            let step = 1e-6;
            // ln sf is smooth: its slope is the same on both sides of the change of method.
            let at = |x| ln_survival(x, degrees_of_freedom);
            let edge = first_where(near, 2.0 * near, |x| {
                survival(x, degrees_of_freedom) <= 1e-290
            });
            let jump = at(edge * (1.0 + step)) - at(edge * (1.0 - step));
            let slope = at(edge * (1.0 - step)) - at(edge * (1.0 - 3.0 * step));
            assert!(
                (jump / slope - 1.0).abs() < 1e-5,
                "{degrees_of_freedom} {jump} {slope}"
            );
        }
    }

    #[test]
    fn critical_values_are_the_tabulated_ones() {
        for (degrees_of_freedom, alpha, tabulated) in [
            (1, 0.05, 3.841_458_820_694_124),
            (1, 0.001, 10.827_566_170_662_733),
            (2, 0.001, 13.815_510_557_964_274),
            (9, 0.01, 21.665_994_333_461_924),
            (49, 0.05, 66.338_648_862_968_8),
        ] {
            let value = critical_value(degrees_of_freedom, alpha);
            assert!((value / tabulated - 1.0).abs() < 1e-12, "{value}");
        }
    }
}
