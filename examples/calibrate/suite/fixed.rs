//! The verdict on a fixed number of requests, all of them identified.

use lbtest::parts::Judge;

use super::outcomes::{Memo, Rates, Weighted, enumerated, sampled};
use super::row::{Row, standard_error};
use super::rule::Rule;
use super::{ALPHA, Effort, Expectation, seed_of, written};

/// The rules whose size is compared.
pub(crate) const RULES: [Rule; 3] = [Rule::Lbtest, Rule::Pearson(ALPHA), Rule::Pearson(0.05)];

/// The counts of `n` responses with these true shares: enumerated for two backends, else `runs` seeded draws.
pub(crate) fn counts(expectation: &Expectation, truth: &[f64], n: u64, runs: u64) -> Weighted {
    if let [first, _] = *truth {
        return enumerated(n, first);
    }
    let cell = format!(
        "fixed {} {} {n}",
        written(expectation.shares()),
        written(truth)
    );
    sampled(expectation, truth, n, 0.0, runs, seed_of(&cell))
}

/// How often a correct split fails, and one that is off by the tolerance passes, by lbtest and by Pearson's
/// test, with `n` requests.
pub(crate) fn errors(expectation: &Expectation, n: u64, effort: Effort) -> Vec<Row> {
    let shares = expectation.shares();
    let mut rules = RULES.map(|rule| Memo::new(expectation, rule));
    let is_cheap = shares.len() < 4;
    let correct = counts(
        expectation,
        shares,
        n,
        if is_cheap { effort.many } else { effort.few },
    );
    let mut rows = Vec::new();
    for rule in &mut rules {
        let rates = rule.rates(&correct);
        let cell = Cell {
            expectation,
            n,
            truth: shares,
            weighted: &correct,
            rule: rule.rule(),
        };
        rows.push(cell.row("size", "fail", rates, Some(ALPHA)));
        if n == expectation.planned() && rule.rule() == Rule::Lbtest {
            rows.push(cell.row("size", "pass", rates, None));
            rows.push(cell.row("size", "inconclusive", rates, None));
        }
    }
    for truth in expectation.shifted() {
        let shifted = counts(expectation, &truth, n, effort.few);
        for rule in &mut rules {
            let rates = rule.pass_rate(&shifted);
            let cell = Cell {
                expectation,
                n,
                truth: &truth,
                weighted: &shifted,
                rule: rule.rule(),
            };
            rows.push(cell.row("wrong_pass", "pass", rates, Some(ALPHA)));
        }
    }
    rows
}

/// As [`errors`] at the planned number of requests, for the judges that claim less; two backends.
pub(crate) fn other_judges(weights: &[f64]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (judge, setting) in [
        (Judge::Tolerance, "--judge tolerance"),
        (Judge::Significance, "--judge significance"),
    ] {
        let expectation = &Expectation::judged_by(weights, judge);
        let n = expectation.planned();
        let mut memo = Memo::new(expectation, Rule::Lbtest);
        let mut report = |truth: &[f64], part, outcome| {
            let weighted = enumerated(n, truth[0]);
            let rates = memo.rates(&weighted);
            let cell = Cell {
                expectation,
                n,
                truth,
                weighted: &weighted,
                rule: Rule::Lbtest,
            };
            let mut row = cell.row(part, outcome, rates, Some(ALPHA));
            setting.clone_into(&mut row.setting);
            rows.push(row);
        };
        report(expectation.shares(), "size", "fail");
        // The classical test alone makes no claim by its PASS.
        if judge == Judge::Tolerance {
            for truth in expectation.shifted() {
                report(&truth, "wrong_pass", "pass");
            }
        }
    }
    rows
}

/// What the rows of a cell share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) expectation: &'a Expectation,
    pub(crate) n: u64,
    pub(crate) truth: &'a [f64],
    pub(crate) weighted: &'a Weighted,
    pub(crate) rule: Rule,
}

impl Cell<'_> {
    pub(crate) fn row(
        &self,
        part: &'static str,
        outcome: &'static str,
        rates: Rates,
        bound: Option<f64>,
    ) -> Row {
        let value = match outcome {
            "pass" => rates.pass,
            "fail" => rates.fail,
            _ => rates.inconclusive,
        };
        let runs = self.weighted.runs;
        Row {
            part,
            split: written(self.expectation.shares()),
            requests: self.n,
            setting: String::new(),
            truth: written(self.truth),
            method: self.rule.name(),
            outcome,
            value,
            standard_error: runs.map(|runs| standard_error(value, runs)),
            runs,
            bound,
        }
    }
}
