//! A rollout that was followed: a line of JSON for each step, and one for the whole.

use serde::Serialize;

use super::{BackendReport, VerdictName};
use crate::format::{count, time};
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
    /// From when the stream was first read to when the split was asked for.
    pub asked_after_seconds: f64,
    /// The shares that were asked for.
    pub expected: Vec<ShareReport>,
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
    /// The tests that came to an end, in turn.
    pub trials: Vec<TrialReport>,
    /// Why, in words.
    pub message: String,
}

/// One test of a step that came to an end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialReport {
    /// From when the split was asked for to when the test began.
    pub begun_seconds: f64,
    /// From there to when it ended.
    pub ended_seconds: f64,
    /// What it came to.
    pub verdict: VerdictName,
    /// Requests that were attributed.
    pub requests: u64,
    /// What each backend got.
    pub backends: Vec<ShareReport>,
}

/// A backend's share, as it was asked for or as it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareReport {
    /// The backend.
    pub label: String,
    /// Its share; null where nothing was observed.
    pub share: Option<f64>,
    /// The 95 % interval of a measured share, which holds although the test stopped when it knew enough.
    pub interval_low: Option<f64>,
    /// Its upper end.
    pub interval_high: Option<f64>,
}

impl ShareReport {
    /// A share that is asked for.
    pub fn expected(label: &str, share: f64) -> Self {
        Self {
            label: label.to_owned(),
            share: Some(share),
            interval_low: None,
            interval_high: None,
        }
    }

    /// A share that was measured.
    pub fn observed(backend: &BackendReport) -> Self {
        Self {
            label: backend.label.clone(),
            share: backend.share,
            interval_low: backend.interval_low,
            interval_high: backend.interval_high,
        }
    }
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
    /// From when the stream was first read to the end.
    pub duration_seconds: f64,
    /// Why, the most important reason first.
    pub message: String,
}

impl StepReport {
    /// A line for a person.
    pub fn text(&self) -> String {
        let Self { step, expect, .. } = self;
        let when = match self.live_within_seconds {
            Some(seconds) => format!("live within {}", time(seconds)),
            None => self.message.clone(),
        };
        format!(
            "{}  step {step}, {expect}: {when} ({}, {})\n",
            super::text::word(self.verdict),
            count(self.requests, "request"),
            count(self.tests, "test")
        )
    }
}

impl RolloutReport {
    /// Judges the whole.
    pub fn new(
        verdict: VerdictName,
        reasons: &[Reason],
        steps: u64,
        seconds: f64,
        interrupted: bool,
    ) -> Self {
        let reasons = reasons
            .iter()
            .map(|reason| reason.message.replace("checks", "steps"));
        Self {
            verdict,
            exit_status: verdict.status(interrupted).code(),
            interrupted,
            steps,
            duration_seconds: seconds,
            message: reasons.collect::<Vec<_>>().join("; "),
        }
    }

    /// A line for a person.
    pub fn text(&self) -> String {
        format!("{}  {}\n", super::text::word(self.verdict), self.message)
    }
}
