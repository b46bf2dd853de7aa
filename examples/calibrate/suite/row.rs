//! A line of the table.

use std::fmt::Write as _;

/// What was measured in one cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Which part of the suite.
    pub(crate) part: &'static str,
    /// The expected split, in percent.
    pub(crate) split: String,
    /// The number of requests; for the sequential test its cap.
    pub(crate) requests: u64,
    /// The circumstances; empty where there are none.
    pub(crate) setting: String,
    /// The true split, in percent.
    pub(crate) truth: String,
    /// Who judged.
    pub(crate) method: &'static str,
    /// What is reported: `fail`, `pass`, `inconclusive` as rates, or `mean_requests`.
    pub(crate) outcome: &'static str,
    /// The rate or the mean.
    pub(crate) value: f64,
    /// The standard error of a simulated value; `None` for an enumerated one.
    pub(crate) standard_error: Option<f64>,
    /// The seeded runs behind it; `None` for an enumerated one.
    pub(crate) runs: Option<u64>,
    /// What the value must not exceed (a rate), or cannot fall below (Wald's bound of a mean).
    pub(crate) bound: Option<f64>,
}

/// A cell that takes long: its rows are written down when it ends.
pub(crate) trait Lasting {
    /// Whether this was measured in it.
    fn is_of(&self, row: &Row) -> bool;

    /// What so many seeded runs tell.
    fn rates(&self, runs: u64) -> Vec<Row>;
}

/// A simulated rate may exceed its bound by so many standard errors: over all the cells of the table, chance
/// alone does that about once in 10,000 tables.
pub(crate) const STANDARD_ERRORS: f64 = 4.5;

/// The standard error of a rate that was simulated in so many runs.
pub(crate) fn standard_error(rate: f64, runs: u64) -> f64 {
    (rate * (1.0 - rate) / runs as f64).sqrt()
}

impl Row {
    pub(crate) const HEADER: &'static str =
        "part,split,requests,setting,truth,method,outcome,value,standard_error,runs,bound,holds";

    /// Whether both say the same of one cell, measured at different times.
    pub(crate) fn is_cell_of(&self, other: &Self) -> bool {
        let cell = |row: &Self| [&row.split, &row.setting, &row.truth].map(String::clone);
        let name = |row: &Self| (row.part, row.requests, row.method, row.outcome);
        name(self) == name(other) && cell(self) == cell(other)
    }

    /// Whether a rate keeps to its bound, as far as the runs behind it can tell; `None` without a bound.
    pub(crate) fn holds(&self) -> Option<bool> {
        let bound = self.bound?;
        let slack = match self.runs {
            Some(runs) => STANDARD_ERRORS * (bound * (1.0 - bound) / runs as f64).sqrt(),
            None => bound * 1e-9,
        };
        (self.outcome != "mean_requests").then_some(self.value <= bound + slack)
    }

    /// A row as [`Row::csv`] wrote it; `None` for anything else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let &[
            part,
            split,
            requests,
            setting,
            truth,
            method,
            outcome,
            value,
            error,
            runs,
            bound,
            _,
        ] = fields.as_slice()
        else {
            return None;
        };
        // There are few of these, and the example ends soon.
        let name = |text: &str| -> &'static str { text.to_owned().leak() };
        Some(Self {
            part: name(part),
            split: split.to_owned(),
            requests: requests.parse().ok()?,
            setting: setting.to_owned(),
            truth: truth.to_owned(),
            method: name(method),
            outcome: name(outcome),
            value: value.parse().ok()?,
            standard_error: error.parse().ok(),
            runs: runs.parse().ok(),
            bound: bound.parse().ok(),
        })
    }

    pub(crate) fn csv(&self) -> String {
        let mut line = String::new();
        let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
        let runs = self
            .runs
            .map_or_else(|| "enumerated".to_owned(), |runs| runs.to_string());
        let holds = self
            .holds()
            .map(|holds| holds.to_string())
            .unwrap_or_default();
        let _ = write!(
            line,
            "{},{},{},{},{},{},{},{},{},{runs},{},{holds}",
            self.part,
            self.split,
            self.requests,
            self.setting,
            self.truth,
            self.method,
            self.outcome,
            number(self.value),
            optional(self.standard_error),
            optional(self.bound),
        );
        line
    }
}

/// Six significant digits.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude > 0.0 && magnitude < 1e-4 {
        return format!("{value:.5e}");
    }
    let decimals = (1..=6)
        .find(|&power| magnitude < 10_f64.powi(power))
        .unwrap_or(6);
    let decimals = usize::try_from(6 - decimals).unwrap_or(0);
    let extra = (1..=3)
        .filter(|&power| magnitude < 10_f64.powi(-power))
        .count();
    let text = format!("{value:.*}", decimals + 1 + extra);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
