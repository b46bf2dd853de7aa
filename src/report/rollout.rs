//! A rollout that was followed: a line of JSON for each step, and one for the whole.

use serde::Serialize;

use super::VerdictName;
use crate::format::time;
use crate::verdict::Reason;

/// One step: a split that was asked for, and when it was live.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Its number, from 1.
    pub step: u64,
    /// The split that was asked for.
    pub expect: String,
    /// Which object asked for it.
    pub source: String,
    /// PASS: it came live. FAIL: the last test that ended refutes it.
    pub verdict: VerdictName,
    /// From when the split was asked for to when a test had shown that it is live: it was live no later. Null where none did.
    pub live_within_seconds: Option<f64>,
    /// From there to the begin of the last test that refutes the split: it was not live before. Null where none does.
    pub not_live_for_seconds: Option<f64>,
    /// Tests that were begun, each at its part of the promised error rate.
    pub tests: u64,
    /// Requests that were attributed in all of them.
    pub requests: u64,
    /// Why, in words.
    pub message: String,
}

/// The whole rollout, after its steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutReport {
    /// What follows from all steps together.
    pub verdict: VerdictName,
    /// The status that the process ends with.
    pub exit_status: u8,
    /// Whether Ctrl-C or SIGTERM ended it.
    pub interrupted: bool,
    /// How many steps there were.
    pub steps: u64,
    /// Why, the most important reason first.
    pub message: String,
}

impl StepReport {
    /// A line for a person.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { step, expect, .. } = self;
        let when = match self.live_within_seconds {
            Some(seconds) => format!("live within {}", time(seconds)),
            None => self.message.clone(),
        };
        let tests = match self.tests {
            1 => "1 test".to_owned(),
            tests => format!("{tests} tests"),
        };
        format!(
            "{}  step {step}, {expect}: {when} ({} requests, {tests})\n",
            super::text::word(self.verdict),
            self.requests
        )
    }
}

impl RolloutReport {
    /// Judges the whole.
    #[must_use]
    pub fn new(verdict: VerdictName, reasons: &[Reason], steps: u64, interrupted: bool) -> Self {
        let reasons = reasons
            .iter()
            .map(|reason| reason.message.replace("checks", "steps"));
        Self {
            verdict,
            exit_status: verdict.status(interrupted).code(),
            interrupted,
            steps,
            message: reasons.collect::<Vec<_>>().join("; "),
        }
    }

    /// A line for a person.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}  {}\n", super::text::word(self.verdict), self.message)
    }
}
