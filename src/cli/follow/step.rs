//! One step of a rollout: a split that is asked for, and the tests of it.

use std::time::Instant;

use crate::plan::settings::Settings;
use crate::report::Report;
use crate::report::rollout::{ShareReport, StepReport, TrialReport};
use crate::verdict::{Outcome, VerdictName};

/// A split that is asked for.
pub(super) struct Desired {
    pub(super) settings: Settings,
    pub(super) source: String,
    /// The labels, and what each is to get.
    pub(super) shares: Vec<(String, f64)>,
}

impl Desired {
    /// The split as weights.
    pub(super) fn expect(&self) -> Option<&str> {
        self.settings.expectation.expect.as_deref()
    }

    /// The last backend's share.
    pub(super) fn last_share(&self) -> f64 {
        self.shares.last().map_or(1.0, |&(_, share)| share)
    }
}

/// A step under test.
pub(super) struct Step {
    pub(super) desired: Desired,
    pub(super) asked_at: Instant,
    pub(super) report: StepReport,
    pub(super) p_value: Option<f64>,
    /// Whether it is live, and that is told.
    pub(super) is_told: bool,
}

impl Step {
    /// A step that nothing is known of yet; `since` is when the stream was first read.
    pub(super) fn new(number: u64, desired: Desired, since: Instant) -> Self {
        let asked_at = Instant::now();
        let expected = desired.shares.iter();
        Self {
            report: StepReport {
                step: number,
                expect: desired.expect().unwrap_or_default().to_owned(),
                source: desired.source.clone(),
                asked_after_seconds: (asked_at - since).as_secs_f64(),
                expected: expected
                    .map(|(label, share)| ShareReport::expected(label, *share))
                    .collect(),
                verdict: VerdictName::Inconclusive,
                live_within_seconds: None,
                not_live_for_seconds: None,
                tests: 0,
                requests: 0,
                trials: Vec::new(),
                message: "it ended before a test did".to_owned(),
            },
            desired,
            asked_at,
            p_value: None,
            is_told: false,
        }
    }

    /// Takes what a test came to that ran from `begun` on, in seconds since the split was asked for.
    pub(super) fn take(&mut self, outcome: &Outcome, report: &Report, p_value: f64, begun: f64) {
        let ended = self.asked_at.elapsed().as_secs_f64();
        self.report.trials.push(TrialReport {
            begun_seconds: begun,
            ended_seconds: ended,
            verdict: outcome.verdict,
            requests: report.requests.attributed,
            backends: report.backends.iter().map(ShareReport::observed).collect(),
        });
        let first = outcome.reasons.first();
        self.report.message = first.map_or_else(String::new, |reason| reason.message.clone());
        match outcome.verdict {
            VerdictName::Pass => {
                self.report.verdict = VerdictName::Pass;
                self.report.live_within_seconds = Some(ended);
                self.p_value = None;
            }
            VerdictName::Fail => {
                self.report.verdict = VerdictName::Fail;
                self.report.not_live_for_seconds = Some(begun);
                self.p_value = Some(p_value.min(1.0));
            }
            VerdictName::Error => self.report.verdict = VerdictName::Error,
            VerdictName::Inconclusive | VerdictName::Measured => {}
        }
    }
}
