//! The answer to a call: the JSON contract of `/verdict` and `/flagger`.

use schemars::JsonSchema;
use serde::Serialize;

use super::check::Step;
use super::moment::Moment;
use crate::report::{BackendReport, Coded, Report, SCHEMA_VERSION, VerdictName};

/// What is known about one step of one check; the contract of `schema/verdict.v1.json`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// The version of this contract.
    pub schema_version: u32,
    /// The check's name.
    pub check: String,
    /// What follows from the run that counts for the call; `running` until there is one.
    pub verdict: AnswerVerdict,
    /// The expected split that the verdict is about.
    pub expect: String,
    /// Which pods are whose, where the call says it (`backend`); empty where the configuration does.
    pub assigned: Vec<String>,
    /// Whether a run of this step is under way, or waits for its turn.
    pub under_way: bool,
    /// Names the run; null while it is awaited.
    pub run_id: Option<String>,
    /// When its first request was due (RFC 3339, UTC); null when nothing was sent.
    pub started_at: Option<String>,
    /// When its last response had come (RFC 3339, UTC); null when nothing was sent.
    pub finished_at: Option<String>,
    /// How long ago it ended; null while it is awaited.
    pub age_seconds: Option<f64>,
    /// The status that the gate would have ended with; null while it is awaited.
    pub exit_status: Option<u8>,
    /// Why, the most important reason first.
    pub reasons: Vec<Coded>,
    /// The p-value that gates; null when nothing was tested.
    pub p_value: Option<f64>,
    /// One row for each backend of the expected split; empty while the run is awaited.
    pub backends: Vec<AnswerBackend>,
}

/// What an answer says in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerVerdict {
    /// The split is the expected one, within the tolerance.
    Pass,
    /// The split is not the expected one.
    Fail,
    /// The evidence carries neither claim.
    Inconclusive,
    /// Nothing could be measured.
    Error,
    /// The run that will answer has not ended.
    Running,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AnswerBackend {
    /// Its label.
    pub label: String,
    /// The share that it should get.
    pub expected_share: f64,
    /// Identified responses.
    pub observed: u64,
    /// Their share; null when nothing was attributed.
    pub share: Option<f64>,
    /// The lower end of the 95 % interval of the share; null when nothing was attributed.
    pub interval_low: Option<f64>,
    /// The upper end.
    pub interval_high: Option<f64>,
}

impl Answer {
    /// The run that will answer has not ended.
    pub(super) fn running(check: &str, step: &Step) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            check: check.to_owned(),
            verdict: AnswerVerdict::Running,
            expect: step.split.to_string(),
            assigned: step.backends.clone(),
            under_way: true,
            run_id: None,
            started_at: None,
            finished_at: None,
            age_seconds: None,
            exit_status: None,
            reasons: Vec::new(),
            p_value: None,
            backends: Vec::new(),
        }
    }

    /// What a run's report says.
    pub(super) fn of_report(check: &str, step: &Step, report: &Report) -> Self {
        Self {
            verdict: report.verdict.into(),
            under_way: false,
            run_id: Some(report.run_id.clone()),
            started_at: report.started_at.clone(),
            finished_at: report.finished_at.clone(),
            exit_status: Some(report.exit_status),
            reasons: report.reasons.clone(),
            p_value: report.test.as_ref().map(|test| test.p_value),
            backends: report.backends.iter().map(Into::into).collect(),
            ..Self::running(check, step)
        }
    }

    /// There was no run: `why` it could not be.
    pub(super) fn of_failure(check: &str, step: &Step, why: &str) -> Self {
        Self {
            verdict: AnswerVerdict::Error,
            under_way: false,
            exit_status: Some(VerdictName::Error.status(false).code()),
            reasons: vec![Coded {
                code: "not_run".to_owned(),
                message: why.to_owned(),
            }],
            ..Self::running(check, step)
        }
    }

    /// The same, of a run that ended at `finished`, as it is told at `now`.
    pub(super) fn aged(&self, finished: Moment, now: Moment, under_way: bool) -> Self {
        Self {
            age_seconds: Some(finished.age(now).as_secs_f64()),
            under_way,
            ..self.clone()
        }
    }
}

impl From<VerdictName> for AnswerVerdict {
    fn from(verdict: VerdictName) -> Self {
        match verdict {
            VerdictName::Pass => Self::Pass,
            VerdictName::Fail => Self::Fail,
            VerdictName::Inconclusive => Self::Inconclusive,
            // Whole runs alone are served.
            VerdictName::Error | VerdictName::Measured => Self::Error,
        }
    }
}

impl From<&BackendReport> for AnswerBackend {
    fn from(backend: &BackendReport) -> Self {
        Self {
            label: backend.label.clone(),
            expected_share: backend.expected_share,
            observed: backend.observed,
            share: backend.share,
            interval_low: backend.interval_low,
            interval_high: backend.interval_high,
        }
    }
}
