//! The rule that turns two p-values into a decision, in the one place where it stands.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a PASS claims.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Judge {
    /// Every shift of the tolerance or more is ruled out, and the expected split explains the counts.
    #[default]
    Equivalence,
    /// Every shift of the tolerance or more is ruled out, even if a smaller one is proven.
    Tolerance,
    /// The expected split explains the counts (the classical test alone).
    Significance,
}

/// What the counts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The claim of the [`Judge`] holds.
    Pass,
    /// The split is refuted.
    Fail,
    /// Neither: more requests are needed.
    Inconclusive,
}

impl Judge {
    /// Every judge.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::Equivalence, Self::Tolerance, Self::Significance];

    /// The name that the command line and reports use.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Equivalence => "equivalence",
            Self::Tolerance => "tolerance",
            Self::Significance => "significance",
        }
    }

    /// Decides from the goodness-of-fit p-value, the equivalence p-value and the significance level.
    ///
    /// A NaN never passes.
    pub fn decide(self, p_value: f64, equivalence_p_value: f64, alpha: f64) -> Decision {
        let rejected = p_value <= alpha;
        let fits = p_value > alpha;
        let shift_refuted = equivalence_p_value <= alpha;
        match self {
            Self::Equivalence | Self::Significance if rejected => Decision::Fail,
            Self::Equivalence if fits && shift_refuted => Decision::Pass,
            Self::Tolerance if shift_refuted => Decision::Pass,
            Self::Tolerance if rejected => Decision::Fail,
            Self::Significance if fits => Decision::Pass,
            Self::Equivalence | Self::Tolerance | Self::Significance => Decision::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_judge_decides_each_combination() {
        use Decision::{Fail, Inconclusive, Pass};
        let cases = [
            // p, p of equivalence, equivalence, tolerance, significance
            (0.5, 0.0001, Pass, Pass, Pass),
            (0.5, 0.5, Inconclusive, Inconclusive, Pass),
            (0.0001, 0.0001, Fail, Pass, Fail),
            (0.0001, 0.5, Fail, Fail, Fail),
            (0.001, 0.5, Fail, Fail, Fail),
            (0.5, 0.001, Pass, Pass, Pass),
        ];
        for (p, equivalence, of_equivalence, of_tolerance, of_significance) in cases {
            assert_eq!(
                Judge::Equivalence.decide(p, equivalence, 0.001),
                of_equivalence
            );
            assert_eq!(Judge::Tolerance.decide(p, equivalence, 0.001), of_tolerance);
            assert_eq!(
                Judge::Significance.decide(p, equivalence, 0.001),
                of_significance
            );
        }
    }

    #[test]
    fn what_is_not_a_number_never_passes() {
        for judge in Judge::ALL {
            assert_ne!(judge.decide(f64::NAN, f64::NAN, 0.001), Decision::Pass);
        }
    }
}
