//! What `lbtest compare --before URL --after URL` reports: two ingresses that were asked the same.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::build::coded;
use super::escape::{markdown, terminal};
use super::text::{table, verdict_style, word};
use super::{Coded, Tool, VerdictName};
use crate::exit::ExitStatus;
use crate::format::p_value;
use crate::verdict::checks::Together;
use crate::verdict::pair::{Cell, Pair};

/// The version of this contract.
pub const SCHEMA_VERSION: u32 = 1;

/// Two ingresses, as `compare --json` writes them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PairsReport {
    /// The version of this contract.
    pub schema_version: u32,
    /// The program that wrote the report.
    pub tool: Tool,
    /// Whether Ctrl-C or SIGTERM ended the run.
    pub interrupted: bool,
    /// What follows from all rules together.
    pub verdict: VerdictName,
    /// The status that the process ends with.
    pub exit_status: u8,
    /// Why, the most important reason first.
    pub reasons: Vec<Coded>,
    /// The error rate of the whole.
    pub alpha: f64,
    /// The URL of the ingress before.
    pub before: String,
    /// The URL of the ingress after.
    pub after: String,
    /// One for each request that was derived from a rule.
    pub checks: Vec<PairReport>,
}

/// What both did with one request.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PairReport {
    /// Its name, as `lbtest checks` gives it.
    pub name: String,
    /// What follows for it alone.
    pub verdict: VerdictName,
    /// Why, the most important reason first.
    pub reasons: Vec<Coded>,
    /// Small when both route differently; null where nothing could be compared.
    pub p_value: Option<f64>,
    /// The same, adjusted for the number of checks (Holm).
    pub adjusted_p_value: Option<f64>,
    /// Small when a difference of the tolerance or more is ruled out.
    pub equivalence_p_value: Option<f64>,
    /// Who answered.
    pub answers: Vec<PairCell>,
    /// With what status.
    pub statuses: Vec<PairCell>,
}

/// One kind of answer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PairCell {
    /// The backend, or the status.
    pub name: String,
    /// How many requests got it before.
    pub before: u64,
    /// How many got it after.
    pub after: u64,
    /// How far apart the shares may be.
    pub tolerance_share: f64,
}

impl PairReport {
    /// The report of one comparison; `p_values` are what its FAIL rests on, and the same adjusted.
    pub fn new(name: String, pair: &Pair, p_values: Option<(f64, f64)>) -> Self {
        let cell = |cell: &Cell| PairCell {
            name: cell.name.clone(),
            before: cell.counts[0],
            after: cell.counts[1],
            tolerance_share: cell.margin,
        };
        Self {
            name,
            verdict: pair.verdict,
            reasons: coded(&pair.reasons),
            p_value: p_values.map(|(p, _)| p),
            adjusted_p_value: p_values.map(|(_, adjusted)| adjusted),
            equivalence_p_value: pair.test.map(|test| test.equivalence_p_value),
            answers: pair.answers.iter().map(cell).collect(),
            statuses: pair.statuses.iter().map(cell).collect(),
        }
    }

    fn row(&self) -> [String; 3] {
        let describe = |p: Option<f64>| p.map_or_else(|| "-".to_owned(), p_value);
        [
            self.name.clone(),
            word(self.verdict).to_owned(),
            describe(self.adjusted_p_value),
        ]
    }

    /// Why, in sentences.
    fn why(&self) -> String {
        let reasons = self.reasons.iter().map(|reason| &*reason.message);
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// The columns of the table.
const COLUMNS: [&str; 3] = ["check", "verdict", "adjusted p"];

impl PairsReport {
    /// The report of `checks`, which say `together` what they say; of the `urls` the first was before.
    pub fn new(
        urls: [&str; 2],
        checks: Vec<PairReport>,
        together: &Together,
        interrupted: bool,
    ) -> Self {
        let [before, after] = urls.map(str::to_owned);
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::own(),
            interrupted,
            verdict: together.verdict,
            exit_status: together.verdict.status(interrupted).code(),
            reasons: coded(&together.reasons),
            alpha: together.alpha,
            before,
            after,
            checks,
        }
    }

    /// The status that the process ends with.
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    /// The text: a line for each check, then the whole.
    pub fn text(&self) -> String {
        let rows = self
            .checks
            .iter()
            .map(|check| check.row().map(|cell| terminal(&cell).into_owned()));
        let header = COLUMNS.map(str::to_owned);
        let mut out = table(&[vec![header], rows.collect()].concat(), 2);
        for check in self
            .checks
            .iter()
            .filter(|check| check.verdict != VerdictName::Pass)
        {
            let sentence = format!("{}: {}", check.name, check.why());
            let _ = writeln!(out, "{}", terminal(&sentence));
        }
        let style = verdict_style(self.verdict);
        let word = word(self.verdict);
        let mut reasons = self.reasons.iter().map(|reason| terminal(&reason.message));
        let first = reasons.next().unwrap_or_default();
        let _ = writeln!(out, "\n{style}{word}{style:#}  {first}");
        for reason in reasons {
            let _ = writeln!(out, "  - {reason}");
        }
        out
    }

    /// As [`PairsReport::text`], for a job's summary.
    pub fn markdown(&self) -> String {
        let mut out = format!("## {} – lbtest compare\n\n", word(self.verdict));
        for reason in &self.reasons {
            let _ = writeln!(out, "{}\n", markdown(&reason.message));
        }
        let _ = writeln!(out, "| {} | why |\n|:--|:--|--:|:--|", COLUMNS.join(" | "));
        for check in &self.checks {
            let cells = check.row().map(|cell| markdown(&cell));
            let _ = writeln!(
                out,
                "| {} | {} |",
                cells.join(" | "),
                markdown(&check.why())
            );
        }
        out
    }
}
