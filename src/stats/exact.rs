//! Exact tests of a split, in probability order: the p-value is the probability of all outcomes that
//! are no more probable than the one observed.
//!
//! For two backends this is the textbook two-sided binomial test. Probability order sees a canary that
//! never answers sooner than Pearson's order does.

use std::f64::consts::LN_10;

use super::binomial::Binomial;
use super::density::ln_add;

/// Outcomes whose probabilities differ by less than this, relative, count as ties, so that rounding
/// cannot part what is equal (the margin that R and `SciPy` use).
pub const TIE: f64 = 1e-7;

/// A p-value, and its decimal logarithm, which stays finite where the p-value underflows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PValue {
    /// In `0..=1`; 0 also below the smallest positive `f64`.
    pub value: f64,
    /// log₁₀ of it, at most 0; −∞ only for an impossible outcome.
    pub log10: f64,
}

impl PValue {
    /// No evidence at all.
    pub const ONE: Self = Self {
        value: 1.0,
        log10: 0.0,
    };

    /// An outcome that the expected split rules out.
    pub const ZERO: Self = Self {
        value: 0.0,
        log10: f64::NEG_INFINITY,
    };

    /// From a natural logarithm; what exceeds ln 1 by rounding becomes 1, while a NaN stays one.
    pub fn from_ln(ln: f64) -> Self {
        if ln > 0.0 {
            Self::ONE
        } else {
            Self {
                value: ln.exp(),
                log10: ln / LN_10,
            }
        }
    }
}

/// The exact two-sided binomial test: `x` hits in `n` trials against hit probability `p` in `0..=1`.
///
/// The cut on either side is searched for, not enumerated, and the tails are closed forms, so that the
/// cost hardly grows with `n`.
pub fn binomial_p_value(x: u64, n: u64, p: f64) -> PValue {
    let binomial = Binomial::new(n, p);
    PValue::from_ln(ln_no_more_probable(binomial, binomial.ln_mass(x) + TIE))
}

/// ln of the probability of all outcomes whose own probability is at most e^`ln_cut`.
pub(crate) fn ln_no_more_probable(binomial: Binomial, ln_cut: f64) -> f64 {
    if binomial.ln_mass(binomial.mode()) <= ln_cut {
        return 0.0;
    }
    let lower = binomial
        .last_before_mode(ln_cut)
        .map_or(f64::NEG_INFINITY, |x| binomial.ln_at_most(x));
    let upper = binomial.ln_at_least(binomial.first_beyond_mode(ln_cut));
    ln_add(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_of_a_small_test_equals_its_enumeration() {
        for (n, p) in [
            (1, 0.3),
            (2, 0.5),
            (20, 0.3),
            (50, 0.01),
            (101, 0.5),
            (64, 0.97),
        ] {
            let binomial = Binomial::new(n, p);
            for x in 0..=n {
                let cut = binomial.ln_mass(x) + TIE;
                let direct: f64 = (0..=n)
                    .map(|y| binomial.ln_mass(y))
                    .filter(|&ln_mass| ln_mass <= cut)
                    .map(f64::exp)
                    .sum();
                let tested = binomial_p_value(x, n, p).value;
                assert!((tested / direct - 1.0).abs() < 1e-12, "{x} of {n} at {p}");
            }
        }
    }

    #[test]
    fn a_certain_share_admits_one_outcome() {
        assert_eq!(binomial_p_value(5, 5, 1.0), PValue::ONE);
        assert_eq!(binomial_p_value(4, 5, 1.0), PValue::ZERO);
        assert_eq!(binomial_p_value(0, 5, 0.0), PValue::ONE);
        assert_eq!(binomial_p_value(0, 0, 0.3), PValue::ONE);
    }

    #[test]
    fn a_p_value_below_the_smallest_float_keeps_its_logarithm() {
        let tested = binomial_p_value(1302, 10_000, 0.3);
        assert_eq!(tested.value, 0.0);
        let reference = 1.401_659_741_31_f64.log10() - 350.0;
        assert!(
            (tested.log10 / reference - 1.0).abs() < 1e-11,
            "{}",
            tested.log10
        );
    }

    #[test]
    fn an_undefined_logarithm_never_becomes_a_pass() {
        assert!(PValue::from_ln(f64::NAN).value.is_nan());
    }
}
