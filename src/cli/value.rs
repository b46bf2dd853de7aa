//! Argument values that clap parses, each with a sentence of its own when it cannot.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::ValueEnum;

use crate::plan::quantity::{self, QuantityError};
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

pub(super) fn count(text: &str) -> Result<NonZeroU64, QuantityError> {
    quantity::count(text)
}

pub(super) fn duration(text: &str) -> Result<Duration, QuantityError> {
    quantity::duration(text)
}

/// At most this many connections or threads: beyond it a machine has no file descriptors.
const MOST: usize = 100_000;

pub(super) fn small_count(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(number) if number.get() <= MOST => Ok(number),
        _ => Err(format!("not a whole number from 1 to {MOST}")),
    }
}

/// A size in bytes: `65536`, `64KiB`, `1MiB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let found = units
        .iter()
        .find_map(|&(unit, scale)| Some((text.strip_suffix(unit)?, scale)));
    let (digits, scale) = found.unwrap_or((text, 1));
    let size = digits.trim().parse::<usize>().ok();
    size.and_then(|size| size.checked_mul(scale))
        .filter(|size| (1..=1 << 30).contains(size))
        .ok_or_else(|| "not a size from 1 B to 1 GiB, such as 64KiB or 1MiB".to_owned())
}
