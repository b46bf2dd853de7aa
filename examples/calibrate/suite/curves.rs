//! What the plots show: rates over the number of requests, and over the true share. All enumerated.

use super::conformance::{MARGIN, REQUESTS, in_ten_tries};
use super::fixed::{Cell, RULES};
use super::outcomes::{Memo, Rates, enumerated};
use super::row::Row;
use super::rule::Rule;
use super::sequential::{QUANTILES, deserved_bound};
use super::stopping::stopping;
use super::{ALPHA, Expectation, TOLERANCE, written};

/// The size of lbtest and of Pearson's test, for numbers of requests that grow by about a tenth.
pub(crate) fn size_by_requests(weights: &[f64]) -> Vec<Row> {
    let expectation = &Expectation::new(weights);
    let planned = expectation.planned();
    let grown = std::iter::successors(Some(20_u64), |&n| Some(n + (n / 10).max(2)));
    let mut rows = Vec::new();
    for n in grown.take_while(|&n| n < planned).chain([planned]) {
        let weighted = enumerated(n, expectation.shares()[0]);
        for rule in RULES {
            let rates = Memo::new(expectation, rule).rates(&weighted);
            let truth = expectation.shares();
            let cell = Cell {
                expectation,
                n,
                truth,
                weighted: &weighted,
                rule,
            };
            rows.push(cell.row("curve_size", "fail", rates, None));
        }
    }
    rows
}

/// True shares from the first backend's expected one less `reach` to that much more, in `steps`.
fn around(share: f64, reach: f64, steps: u32) -> impl Iterator<Item = f64> {
    (0..=steps).map(move |step| {
        let truth = share - reach + 2.0 * reach * f64::from(step) / f64::from(steps);
        (truth * 1e6).round() / 1e6
    })
}

/// The chance of each verdict at the planned number of requests over the true share, and of the conformance rule.
pub(crate) fn power() -> Vec<Row> {
    let expectation = &Expectation::new(&[70.0, 30.0]);
    let mut lbtest = Memo::new(expectation, Rule::Lbtest);
    let mut rows = Vec::new();
    for first in around(0.7, 0.1, 100) {
        let truth = &[first, 1.0 - first];
        let n = expectation.planned();
        let weighted = enumerated(n, first);
        let rates = lbtest.rates(&weighted);
        let cell = Cell {
            expectation,
            n,
            truth,
            weighted: &weighted,
            rule: Rule::Lbtest,
        };
        for outcome in ["pass", "fail", "inconclusive"] {
            rows.push(cell.row("curve_power", outcome, rates, None));
        }
        let (n, rule) = (REQUESTS, Rule::Within(MARGIN));
        let weighted = enumerated(n, first);
        let once = Memo::new(expectation, rule).rates(&weighted);
        let rates = Rates {
            pass: in_ten_tries(once.pass),
            ..once
        };
        let cell = Cell {
            n,
            weighted: &weighted,
            rule,
            ..cell
        };
        let row = cell.row("curve_power", "pass", rates, None);
        rows.push(Row {
            method: "gateway_api_conformance",
            ..row
        });
    }
    rows
}

/// The requests that the sequential test takes, over the true share.
pub(crate) fn stopping_times() -> Vec<Row> {
    let expectation = &Expectation::new(&[70.0, 30.0]);
    let shares: [f64; 2] = expectation.shares().try_into().expect("two backends");
    let truths: Vec<f64> = around(0.7, 0.2, 160).collect();
    let mut rows = Vec::new();
    for result in stopping(shares, TOLERANCE, ALPHA, &truths) {
        let truth = [result.truth, 1.0 - result.truth];
        let row = |outcome, value, bound| Row {
            part: "curve_sequential",
            split: written(&shares),
            requests: (result.stopped.len() - 1) as u64,
            setting: String::new(),
            truth: written(&truth),
            method: "lbtest_sequential",
            outcome,
            value,
            standard_error: None,
            runs: None,
            bound,
        };
        let bound = deserved_bound(expectation, &truth, ALPHA);
        rows.push(row("mean_requests", result.mean(), Some(bound)));
        for (outcome, share) in QUANTILES {
            rows.push(row(outcome, result.quantile(share) as f64, None));
        }
    }
    rows
}
