//! Several checks in one run: one report each, and what they say together.

use std::fmt::Write;

use anstyle::Style;
use schemars::JsonSchema;
use serde::Serialize;

use super::build::coded;
use super::text::{table, verdict_style, word};
use super::{Coded, Named, Report, SCHEMA_VERSION, Tool, VerdictName, text};
use crate::exit::ExitStatus;
use crate::format::p_value;
use crate::verdict::checks::Together;

/// Several checks: what `--json` writes for a configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChecksReport {
    /// The version of this contract, and of the reports in it.
    pub schema_version: u32,
    /// The program that wrote the report.
    pub tool: Tool,
    /// When the first request was due (RFC 3339, UTC); null when nothing was sent.
    pub started_at: Option<String>,
    /// When the last response had come (RFC 3339, UTC); null when nothing was sent.
    pub finished_at: Option<String>,
    /// Whether Ctrl-C or SIGTERM ended the run.
    pub interrupted: bool,
    /// What follows from all checks together.
    pub verdict: VerdictName,
    /// The status that the process ends with.
    pub exit_status: u8,
    /// Why, the most important reason first.
    pub reasons: Vec<Coded>,
    /// The error rate of the whole: correct splits fail it at most this often. The smallest of the checks'.
    pub alpha: f64,
    /// The checks, in the order in which they ran.
    pub checks: Vec<CheckReport>,
}

/// One of several checks.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CheckReport {
    /// Its name in the configuration file.
    pub name: String,
    /// What its FAIL rests on: `report.test.fail_p_value`, or 0 where it fails without a test; null
    /// where nothing was tested.
    pub p_value: Option<f64>,
    /// The same, adjusted for the number of checks: one that fails makes the whole fail if this is at
    /// most `alpha`.
    pub adjusted_p_value: Option<f64>,
    /// The check by itself.
    pub report: Report,
}

impl ChecksReport {
    /// Writes down checks, in the order in which they ran, and what they say together.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(reports: Vec<(String, Report)>, together: &Together) -> Self {
        let checks: Vec<CheckReport> = reports
            .into_iter()
            .zip(&together.p_values)
            .map(|((name, report), p)| CheckReport {
                name,
                p_value: p.map(|(p, _)| p),
                adjusted_p_value: p.map(|(_, adjusted)| adjusted),
                report,
            })
            .collect();
        let first = &checks.first().expect("there is a check").report;
        let interrupted = checks.iter().any(|check| check.report.interrupted);
        let times = |time: fn(&Report) -> &Option<String>| {
            let mut times: Vec<&String> = checks
                .iter()
                .filter_map(|check| time(&check.report).as_ref())
                .collect();
            // RFC 3339 in UTC sorts as text.
            times.sort_unstable();
            times
        };
        let started_at = times(|report| &report.started_at).first().copied().cloned();
        let finished_at = times(|report| &report.finished_at).last().copied().cloned();
        Self {
            schema_version: SCHEMA_VERSION,
            tool: first.tool.clone(),
            started_at,
            finished_at,
            interrupted,
            verdict: together.verdict,
            exit_status: together.verdict.status(interrupted).code(),
            reasons: coded(&together.reasons),
            alpha: together.alpha,
            checks,
        }
    }

    /// The status that the process ends with.
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    /// The checks' reports, for documents that show several.
    pub fn named(&self) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        for CheckReport { name, report, .. } in &self.checks {
            let name = Some(&**name);
            named.push(Named { name, report });
        }
        named
    }

    /// The text: every check's, then the whole.
    pub fn text(&self) -> String {
        let bold = Style::new().bold();
        let mut out = String::new();
        for check in &self.checks {
            let _ = writeln!(out, "{bold}{}{bold:#}", check.name);
            let _ = writeln!(out, "{}", text::render(&check.report));
        }
        let header = COLUMNS.map(str::to_owned);
        let rows = self.checks.iter().map(CheckReport::row);
        out.push_str(&table(&[vec![header], rows.collect()].concat(), 2));
        out.push('\n');
        out.push_str(&self.conclusion());
        for reason in self.reasons.iter().skip(1) {
            let _ = writeln!(out, "  - {}", reason.message);
        }
        out
    }

    /// The verdict on the whole, on one line: what `--quiet` leaves.
    pub fn conclusion(&self) -> String {
        let style = verdict_style(self.verdict);
        let word = word(self.verdict);
        let first = self.reasons.first().map_or("", |reason| &reason.message);
        format!("{style}{word}{style:#}  {first}\n")
    }
}

/// The columns of a list of checks.
pub(super) const COLUMNS: [&str; 5] = ["check", "verdict", "attributed", "p", "adjusted p"];

impl CheckReport {
    /// The check's row in a list of several; see [`COLUMNS`].
    pub(super) fn row(&self) -> [String; 5] {
        let describe = |p: Option<f64>| p.map_or_else(|| "-".to_owned(), p_value);
        [
            self.name.clone(),
            word(self.report.verdict).to_owned(),
            self.report.requests.attributed.to_string(),
            describe(self.p_value),
            describe(self.adjusted_p_value),
        ]
    }
}
