//! The rules that are compared: what lbtest decides, and what is in use elsewhere.

use lbtest::parts::{
    Counts, Verdict, equivalence_p_value_with_unattributed, judge_counts as judge, pearson,
};

use super::outcomes::Outcome;
use super::{ALPHA, Expectation, TOLERANCE};

/// Seeds Monte Carlo tests, should a cell need them.
pub(crate) const SEED: u64 = 1;

/// A way to a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// What the program decides, by the judge of the expectation.
    Lbtest,
    /// The same, after the responses without an identity were dropped.
    LbtestWithoutMissing,
    /// Pearson's test by the χ² tail: FAIL where p is at most this, else PASS.
    Pearson(f64),
    /// PASS where every backend's share is within this of the expected one, else FAIL.
    Within(f64),
}

impl Rule {
    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lbtest => "lbtest",
            Self::LbtestWithoutMissing => "drop_missing",
            Self::Pearson(alpha) if alpha > 0.01 => "chi_square_0.05",
            Self::Pearson(_) => "chi_square_0.001",
            Self::Within(_) => "within_5pp",
        }
    }

    /// Whether the verdict on `outcome` could be PASS, as far as can be told at little cost: lbtest's needs every
    /// shift refuted, whatever its goodness of fit.
    pub(crate) fn can_pass(self, expectation: &Expectation, outcome: &Outcome) -> bool {
        let missing = match self {
            Self::Lbtest => outcome.unattributed,
            Self::LbtestWithoutMissing => 0,
            Self::Pearson(_) | Self::Within(_) => return true,
        };
        let (observed, shares) = (&outcome.observed, expectation.shares());
        equivalence_p_value_with_unattributed(observed, missing, shares, TOLERANCE) <= ALPHA
    }

    pub(crate) fn verdict(self, expectation: &Expectation, outcome: &Outcome) -> Verdict {
        let observed = &outcome.observed;
        let passes = |holds| if holds { Verdict::Pass } else { Verdict::Fail };
        match self {
            Self::Lbtest => judged(expectation, observed, outcome.unattributed),
            Self::LbtestWithoutMissing => judged(expectation, observed, 0),
            Self::Pearson(alpha) => {
                let test = pearson(observed, expectation.shares());
                passes(test.is_none_or(|test| test.p_value > alpha))
            }
            Self::Within(margin) => {
                let n = observed.iter().sum::<u64>() as f64;
                let mut shares = observed.iter().zip(expectation.shares());
                // As in the conformance test, in floating point.
                passes(shares.all(|(&count, share)| (count as f64 / n - share).abs() <= margin))
            }
        }
    }
}

fn judged(expectation: &Expectation, observed: &[u64], unattributed: u64) -> Verdict {
    let counts = Counts {
        observed: observed.to_vec(),
        foreign: 0,
        unattributed,
    };
    judge(&expectation.claim, counts).verdict
}
