//! The verdict when some responses say nothing of where they come from.

use super::fixed::Cell;
use super::outcomes::{Memo, Weighted, enumerated_with_missing, sampled};
use super::row::Row;
use super::rule::Rule;
use super::{ALPHA, Effort, Expectation, seed_of, written};

/// Whose responses lack an identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Missing {
    /// This share of all, at random.
    AtRandom(f64),
    /// This share of all, each of them the last backend's.
    OfTheLast(f64),
}

/// The circumstances that are looked at.
pub(crate) const SETTINGS: [Missing; 4] = [
    Missing::AtRandom(0.005),
    Missing::AtRandom(0.01),
    Missing::AtRandom(0.02),
    Missing::OfTheLast(0.02),
];

impl Missing {
    fn share(self) -> f64 {
        match self {
            Self::AtRandom(share) | Self::OfTheLast(share) => share,
        }
    }

    fn setting(self) -> String {
        match self {
            Self::AtRandom(share) => format!("{}% missing", 100.0 * share),
            Self::OfTheLast(share) => format!("{}% missing: all of the last", 100.0 * share),
        }
    }

    /// The shares among the identified responses; `None` where the last backend has no more to lose.
    fn identified(self, truth: &[f64]) -> Option<Vec<f64>> {
        let mut identified = truth.to_vec();
        if let Self::OfTheLast(lost) = self {
            let last = identified.last_mut().expect("a split has backends");
            // A backend all of whose answers lack an identity is broken, and fails as it should.
            if *last < 2.0 * lost {
                return None;
            }
            *last -= lost;
            for share in &mut identified {
                *share /= 1.0 - lost;
            }
        }
        Some(identified)
    }
}

/// How often a correct split fails, and one that is off by the tolerance passes, when responses are missing
/// and when they are dropped.
pub(crate) fn errors(
    expectation: &Expectation,
    n: u64,
    settings: &[Missing],
    effort: Effort,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rules =
        [Rule::Lbtest, Rule::LbtestWithoutMissing].map(|rule| Memo::new(expectation, rule));
    let correct = expectation.shares().to_vec();
    let truths = [correct].into_iter().chain(expectation.shifted());
    for (place, truth) in truths.enumerate() {
        let (part, outcome) = if place == 0 {
            ("missing_size", "fail")
        } else {
            ("missing_wrong_pass", "pass")
        };
        for &missing in settings {
            let Some(weighted) = counts(expectation, &truth, n, missing, effort) else {
                continue;
            };
            for rule in &mut rules {
                let rates = if place == 0 {
                    rule.rates(&weighted)
                } else {
                    rule.pass_rate(&weighted)
                };
                let cell = Cell {
                    expectation,
                    n,
                    truth: &truth,
                    weighted: &weighted,
                    rule: rule.rule(),
                };
                let mut row = cell.row(part, outcome, rates, Some(ALPHA));
                row.setting = missing.setting();
                rows.push(row);
            }
        }
    }
    rows
}

fn counts(
    expectation: &Expectation,
    truth: &[f64],
    n: u64,
    missing: Missing,
    effort: Effort,
) -> Option<Weighted> {
    let identified = missing.identified(truth)?;
    if let [first, _] = *identified {
        return Some(enumerated_with_missing(n, first, missing.share()));
    }
    let cell = format!(
        "missing {} {} {n} {}",
        written(expectation.shares()),
        written(truth),
        missing.setting()
    );
    let (runs, seed) = (effort.few, seed_of(&cell));
    Some(sampled(
        expectation,
        &identified,
        n,
        missing.share(),
        runs,
        seed,
    ))
}
