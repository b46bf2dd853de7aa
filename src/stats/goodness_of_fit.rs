//! The test that gates: does the observed split fit the expected one?
//!
//! "Expected at least 5 in every cell" does not make the χ² tail safe at small significance levels: at
//! 99/1 and n = 100 it rejects a correct split 3.3 times as often as α = 0.001 promises. So the test is
//! exact wherever that is feasible, and its method is named.

use std::f64::consts::LN_10;

use super::cells::Cells;
use super::chi_square::{ChiSquare, correction, critical_value, pearson};
use super::exact::PValue;
use super::monte_carlo::{StatisticsError, monte_carlo_p_value};
use super::multinomial::{MOST_LINES, is_short, multinomial_p_value};

/// Where the exact test is too long, Pearson's serves from this expectation in the smallest cell on.
pub const LEAST_EXPECTED_FOR_PEARSON: f64 = 100.0;
/// And while the term beyond the χ² tail changes the probability to reject by this part at most: what is left out
/// then, of the next order, is near its square.
const MOST_CORRECTION: f64 = 0.1;

/// How a p-value was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Enumeration in probability order.
    Exact,
    /// Pearson's statistic against the χ² distribution and its correction for n.
    Pearson,
    /// Seeded simulation in probability order.
    MonteCarlo,
}

impl Method {
    /// The name that reports use.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Pearson => "pearson",
            Self::MonteCarlo => "monte_carlo",
        }
    }
}

/// The outcome of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoodnessOfFit {
    /// Pearson's test, which is always reported beside the one that gates.
    pub chi_square: ChiSquare,
    /// The p-value that gates, in `0..=1`.
    pub p_value: f64,
    /// log₁₀ of it, finite unless a zero-weight backend was hit.
    pub log10_p_value: f64,
    /// How the p-value that gates was computed.
    pub method: Method,
}

/// Tests `observed` counts against the expected `shares`; `None` where nothing was observed.
///
/// Exact for one and two backends, and for more while the recursion stays within [`MOST_LINES`] for every count that
/// `alpha` may hang on; else Pearson if every cell expects [`LEAST_EXPECTED_FOR_PEARSON`] and n is large enough for the
/// tail of χ²; else Monte Carlo, with as many draws as `alpha` asks for, from `seed`. So the shares, n and `alpha`
/// choose the method, and the counts do not.
///
/// # Errors
/// Only Monte Carlo is left, and `alpha` is too small for it.
///
/// # Panics
/// If the slices differ in length.
pub fn goodness_of_fit(
    observed: &[u64],
    shares: &[f64],
    alpha: f64,
    seed: u64,
) -> Result<Option<GoodnessOfFit>, StatisticsError> {
    let Some(chi_square) = pearson(observed, shares) else {
        return Ok(None);
    };
    let gated = |p: PValue, method| GoodnessOfFit {
        chi_square,
        p_value: p.value,
        log10_p_value: p.log10,
        method,
    };
    let cells = Cells::new(observed, shares);
    let n = cells.total();
    if cells.leaked > 0 {
        return Ok(Some(gated(PValue::ZERO, Method::Exact)));
    }
    let method = Method::of(&cells.shares, n, alpha);
    let p = match method {
        Method::Exact => multinomial_p_value(observed, shares, MOST_LINES),
        Method::Pearson => Some(corrected(&chi_square, &cells.shares, n)),
        Method::MonteCarlo => None,
    };
    if let Some(p) = p {
        return Ok(Some(gated(p, method)));
    }
    let p = monte_carlo_p_value(observed, shares, alpha, seed)?;
    Ok(Some(gated(p, Method::MonteCarlo)))
}

impl Method {
    /// The test of `n` responses at level `alpha` against positive `shares`.
    pub(crate) fn of(shares: &[f64], n: u64, alpha: f64) -> Self {
        if is_short(shares, n, alpha) {
            return Self::Exact;
        }
        let critical = critical_value(shares.len() - 1, alpha);
        let rarest = shares.iter().copied().fold(1.0, f64::min);
        let is_near = (correction(critical, shares, n) - 1.0).abs() <= MOST_CORRECTION;
        if rarest * n as f64 >= LEAST_EXPECTED_FOR_PEARSON && is_near {
            Self::Pearson
        } else {
            Self::MonteCarlo
        }
    }
}

/// The p-value of Pearson's statistic of `n` responses, of positive `shares`.
fn corrected(chi_square: &ChiSquare, shares: &[f64], n: u64) -> PValue {
    let factor = correction(chi_square.statistic, shares, n);
    PValue::from_ln(chi_square.log10_p_value * LN_10 + factor.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(observed: &[u64], shares: &[f64]) -> GoodnessOfFit {
        goodness_of_fit(observed, shares, 0.001, 1)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_method_is_exact_while_feasible_then_pearson_then_monte_carlo() {
        assert_eq!(
            tested(&[690_000, 310_000], &[0.7, 0.3]).method,
            Method::Exact
        );
        assert_eq!(
            tested(&[48, 33, 19], &[0.5, 0.3, 0.2]).method,
            Method::Exact
        );
        let many: Vec<u64> = (0..20).map(|i| 100 + 4 * i).collect();
        assert_eq!(tested(&many, &[0.05; 20]).method, Method::Pearson);
        let few: Vec<u64> = (0..20).map(|i| 2 + i / 3).collect();
        assert_eq!(tested(&few, &[0.05; 20]).method, Method::MonteCarlo);
    }

    #[test]
    fn a_hit_on_a_zero_weight_backend_refutes_whatever_the_rest() {
        let hit = tested(&[70, 30, 1], &[0.7, 0.3, 0.0]);
        assert_eq!((hit.p_value, hit.method), (0.0, Method::Exact));
    }

    #[test]
    fn an_alpha_too_small_matters_only_where_simulation_is_needed() {
        assert!(goodness_of_fit(&[60, 40], &[0.7, 0.3], 1e-9, 1).is_ok());
        let few: Vec<u64> = (0..20).map(|i| 2 + i / 3).collect();
        assert!(goodness_of_fit(&few, &[0.05; 20], 1e-9, 1).is_err());
    }

    #[test]
    fn nothing_observed_is_nothing_tested() {
        assert_eq!(goodness_of_fit(&[0, 0], &[0.7, 0.3], 0.001, 1), Ok(None));
    }
}
