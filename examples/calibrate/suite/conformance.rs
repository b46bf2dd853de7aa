//! The rules in use elsewhere, and what they let pass, beside lbtest with as many requests and with those it
//! plans. All enumerated.

use super::fixed::Cell;
use super::outcomes::{Memo, Rates, enumerated};
use super::row::Row;
use super::rule::Rule;
use super::stopping::stopping;
use super::{ALPHA, Expectation, TOLERANCE, written};

/// The Gateway API conformance test `HTTPRouteWeight`: 500 requests for 70/30, each share within 5 points, and ten
/// tries of which one must succeed (`conformance/tests/httproute-weight.go` of kubernetes-sigs/gateway-api).
pub(crate) const REQUESTS: u64 = 500;
pub(crate) const MARGIN: f64 = 0.05;
pub(crate) const TRIES: i32 = 10;

/// A sample that is often taken by hand.
pub(crate) const FEW_REQUESTS: u64 = 99;

/// True shares of the first backend of an expected 70/30.
pub(crate) const TRUTHS: [f64; 9] = [0.7, 0.69, 0.68, 0.67, 0.66, 0.65, 0.62, 0.6, 0.5];

/// The chance that one of the tries passes.
pub(crate) fn in_ten_tries(pass: f64) -> f64 {
    -(f64::from(TRIES) * (-pass).ln_1p()).exp_m1()
}

pub(crate) fn rows() -> Vec<Row> {
    let expectation = &Expectation::new(&[70.0, 30.0]);
    let rules = [
        (Rule::Within(MARGIN), FEW_REQUESTS),
        (Rule::Within(MARGIN), REQUESTS),
        (Rule::Pearson(0.05), REQUESTS),
        (Rule::Lbtest, FEW_REQUESTS),
        (Rule::Lbtest, REQUESTS),
        (Rule::Lbtest, expectation.planned()),
    ];
    let mut rows = Vec::new();
    for (rule, n) in rules {
        let mut memo = Memo::new(expectation, rule);
        for first in TRUTHS {
            let truth = &[first, 1.0 - first];
            let weighted = enumerated(n, first);
            let rates = memo.rates(&weighted);
            let cell = Cell {
                expectation,
                n,
                truth,
                weighted: &weighted,
                rule,
            };
            for outcome in ["pass", "fail", "inconclusive"] {
                if rule == Rule::Lbtest || outcome != "inconclusive" {
                    rows.push(cell.row("rules", outcome, rates, None));
                }
            }
            if rule == Rule::Within(MARGIN) && n == REQUESTS {
                let pass = in_ten_tries(rates.pass);
                let tried = Rates {
                    pass,
                    fail: 1.0 - pass,
                    inconclusive: 0.0,
                };
                for outcome in ["pass", "fail"] {
                    let row = cell.row("rules", outcome, tried, None);
                    rows.push(Row {
                        method: "gateway_api_conformance",
                        ..row
                    });
                }
            }
        }
    }
    rows.extend(sequential(expectation));
    rows
}

/// The sequential test on the same truths.
fn sequential(expectation: &Expectation) -> Vec<Row> {
    let shares: [f64; 2] = expectation.shares().try_into().expect("two backends");
    let mut rows = Vec::new();
    for result in stopping(shares, TOLERANCE, ALPHA, &TRUTHS) {
        let row = |outcome, value| Row {
            part: "rules",
            split: written(&shares),
            requests: (result.stopped.len() - 1) as u64,
            setting: String::new(),
            truth: written(&[result.truth, 1.0 - result.truth]),
            method: "lbtest_sequential",
            outcome,
            value,
            standard_error: None,
            runs: None,
            bound: None,
        };
        rows.push(row("pass", result.pass));
        rows.push(row("fail", result.fail));
        rows.push(row("inconclusive", result.inconclusive));
        rows.push(row("mean_requests", result.mean()));
    }
    rows
}
