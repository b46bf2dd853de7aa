//! The verdict on pods that are to share the requests equally.

use lbtest::parts::{Expected, Judge, Prospect, SIMULATED_RUNS, even_sample_size as sample_size};

use super::ALPHA;
use super::row::{Row, standard_error};
use super::rule::SEED;

/// The numbers of pods that are looked at.
pub(crate) const PODS: [usize; 4] = [2, 5, 25, 100];
/// The deviation that a PASS rules out, relative to the equal share: the program's default.
const TOLERANCE: f64 = 0.2;
/// What one pod gets of its equal share, while the others share the rest equally.
const TRUTHS: [f64; 3] = [1.0, 1.0 + TOLERANCE, 1.0 - TOLERANCE];

/// Each verdict on `pods` pods at the planned number of requests, by the code that `lbtest plan` forecasts with:
/// where all get the same, and where one is off by the tolerance. With two pods all counts are enumerated.
pub(crate) fn errors(pods: usize) -> Vec<Row> {
    let n = sample_size(pods, TOLERANCE, ALPHA);
    let equal = 1.0 / pods as f64;
    let shares = vec![equal; pods];
    let judge = Judge::Equivalence;
    let expected = Expected {
        shares: &shares,
        tolerance: TOLERANCE * equal,
        alpha: ALPHA,
    };
    let prospect = Prospect::new(&expected, n, judge, SEED)
        .expect("the counts are large enough for Pearson's test");
    let runs = (pods > 2).then_some(SIMULATED_RUNS);
    let mut rows = Vec::new();
    for ratio in TRUTHS {
        let mut truth = vec![(1.0 - ratio * equal) / (pods - 1) as f64; pods];
        truth[0] = ratio * equal;
        let rates = prospect.verdict_probabilities(&truth);
        let is_even = ratio.to_bits() == 1.0_f64.to_bits();
        let outcomes = [
            ("pass", rates.pass, (!is_even).then_some(ALPHA)),
            ("fail", rates.fail, is_even.then_some(ALPHA)),
            ("inconclusive", rates.inconclusive, None),
        ];
        rows.extend(outcomes.map(|(outcome, value, bound)| Row {
            part: "even",
            split: format!("{pods} pods"),
            requests: n,
            setting: String::new(),
            truth: if is_even {
                "equal".to_owned()
            } else {
                format!("one at {ratio} ×")
            },
            method: "lbtest",
            outcome,
            value,
            standard_error: runs.map(|runs| standard_error(value, runs)),
            runs,
            bound,
        }));
    }
    rows
}
