//! Choices that clap parses and lists in its help.

use clap::ValueEnum;

use crate::stats::judge::Judge;

/// What a PASS claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum JudgeArg {
    /// Every shift of the tolerance or more is ruled out, and the expected split explains the counts
    Equivalence,
    /// Every shift of the tolerance or more is ruled out, even if a smaller one is proven
    Tolerance,
    /// The expected split explains the counts (the classical test alone)
    Significance,
}

impl From<JudgeArg> for Judge {
    fn from(judge: JudgeArg) -> Self {
        match judge {
            JudgeArg::Equivalence => Self::Equivalence,
            JudgeArg::Tolerance => Self::Tolerance,
            JudgeArg::Significance => Self::Significance,
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorArg {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
