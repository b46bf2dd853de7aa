//! What follows from what was measured: [`judge`] is the one place that decides.
//!
//! It is a pure function of a [`Claim`] and what was [`Measured`]; what comes out is an [`Outcome`], which
//! the report writes down as it is.

pub mod checks;
pub mod clusters;
pub mod decision;
pub mod diagnosis;
mod evenness;
mod evidence;
pub mod forecast;
pub mod health;
pub mod intervals;
mod order;
pub mod pair;
pub mod promise;
pub mod reason;
pub mod shards;
pub mod split;
mod steadiness;
pub mod stickiness;
pub mod unidentified;
pub mod unmeasured;
mod within;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::exit::ExitStatus;
use crate::identity::assignment::Assignment;
use crate::measured::{Ending, Measured, Unmeasured};
use decision::{Counts, Judged};
use diagnosis::{Finding, diagnose_run};
pub use evidence::{Evidence, OrderedBy};
use health::Held;
pub use reason::Reason;
pub use split::{Judgement, Part};
pub use steadiness::{Agreement, Change};
use stickiness::Kept;

/// What the evidence carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The split is the expected one, within the tolerance.
    Pass,
    /// The split is not the expected one.
    Fail,
    /// Neither claim holds at the promised error rate.
    Inconclusive,
}

/// What a report says in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictName {
    /// The split is the expected one, within the tolerance.
    Pass,
    /// The split is not the expected one.
    Fail,
    /// The evidence carries neither claim.
    Inconclusive,
    /// Nothing could be measured.
    Error,
    /// A shard of a larger run: measured, and judged after merging.
    Measured,
}

impl VerdictName {
    /// The name in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Measured => "measured",
        }
    }

    /// The status that a process ends with that has come to this verdict.
    pub const fn status(self, interrupted: bool) -> ExitStatus {
        match self {
            _ if interrupted => ExitStatus::Interrupted,
            Self::Pass | Self::Measured => ExitStatus::Pass,
            Self::Fail => ExitStatus::Fail,
            Self::Inconclusive => ExitStatus::Inconclusive,
            Self::Error => ExitStatus::NotMeasured,
        }
    }
}

impl From<Verdict> for VerdictName {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

/// What follows, why, and what it rests on.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What follows.
    pub verdict: VerdictName,
    /// What follows for the split alone, or for the sessions, before backends are held to limits on their health.
    pub split_verdict: VerdictName,
    /// Whether Ctrl-C or SIGTERM ended the run.
    pub interrupted: bool,
    /// Why, the most important reason first.
    pub reasons: Vec<Reason>,
    /// Further things noticed, which do not decide the verdict by themselves.
    pub findings: Vec<Finding>,
    /// What was counted, for every workload as what it is known to be: one in doubt counts as foreign.
    pub counts: Counts,
    /// Which workload was taken for which backend.
    pub assignment: Assignment,
    /// The same over blocks of the dispatch order.
    pub windows: Vec<Counts>,
    /// The tests of the split; `None` where the verdict does not rest on them.
    pub test: Option<Judged>,
    /// Whether the split changed during the run, and where; `None` where it cannot be told.
    pub change: Option<Change>,
    /// Whether the shards of the run saw one split; `None` where it had none.
    pub agreement: Option<Agreement>,
    /// What follows for the pods of backends; empty where nothing is asserted of them.
    pub parts: Vec<Part>,
    /// Whether sessions stayed on their backends; `None` where the run did not consist of sessions.
    pub sessions: Option<Kept>,
    /// The limits on the backends' health, and whether they were kept.
    pub limits: Vec<Held>,
}

/// Judges the evidence for the split, and for what is asserted beside it.
pub fn decide(claim: &Claim, evidence: &Evidence) -> Judgement {
    if claim.within.is_some() {
        within::decide(claim, evidence)
    } else {
        split::decide(claim, evidence)
    }
}

/// Judges what was measured: the one place that decides. A shard of a run is left to the merge.
pub fn judge(claim: &Claim, measured: &Measured) -> Outcome {
    let evidence = Evidence::of(measured);
    let judgement = decide(claim, &evidence);
    let mut outcome = Outcome::of(judgement.clone());
    let ending = match &measured.ending {
        Ok(ending) => *ending,
        Err(why) => {
            outcome.not_measured(vec![Reason::new(why.code, why.message.clone())]);
            outcome.interrupted = why.code == Unmeasured::INTERRUPTED;
            return outcome;
        }
    };
    outcome.interrupted = ending == Ending::Interrupted;
    let attributed = measured.counted.attributed();
    let groups = measured.counted.groups.iter();
    // What a limiter's pace left no time to repeat was measured all the same.
    let is_paced = measured.limiter.is_some() && measured.set_aside.identified() > 0;
    let doubt = unidentified::is_it_the_ingress(
        &measured.naming,
        groups.map(|counted| &counted.group),
        &outcome.assignment,
    )
    .filter(|_| !claim.split.is_of_pods() && measured.marked.is_none());
    // What was counted by names that may be another's is not explained.
    let is_doubtful = doubt.is_some() && attributed > 0;
    if attributed == 0 && !is_paced {
        outcome.not_measured(unmeasured::not_measured(&claim.split, measured));
    } else if let Some(doubt) = doubt {
        outcome.not_measured(vec![doubt]);
    } else {
        let missing = unmeasured::missing_answers(measured);
        outcome.reasons.extend(missing);
    }
    if claim.sessions.is_some() {
        outcome.judge_sessions(claim, measured, &evidence);
    }
    if let Some(sharding) = &measured.trial.shard {
        match &measured.marked {
            Some(_) => outcome.leave_to_the_logs(measured.counted.attributed()),
            None => outcome.leave_to_the_merge(sharding.shard, attributed),
        }
        return outcome;
    }
    outcome.hold_to_limits(claim, measured);
    // What follow-ups look like together says nothing about how requests are split.
    if !is_doubtful && (claim.sessions.is_none() || attributed == 0) {
        outcome.findings = diagnose_run(&claim.of_split(), measured, &evidence, &judgement);
    }
    outcome
}

/// Judges what was measured, with the claim as it is called once pods have said their names.
pub fn judge_named<'a>(claim: &'a Claim, measured: &Measured) -> (Cow<'a, Claim>, Outcome) {
    let groups = measured.counted.groups.iter();
    let claim = claim.naming(groups.map(|counted| &counted.group));
    let outcome = judge(&claim, measured);
    (claim, outcome)
}

/// Judges counts that were taken elsewhere.
pub fn judge_counts(claim: &Claim, evidence: &Evidence) -> Outcome {
    let mut outcome = Outcome::of(decide(claim, evidence));
    if outcome.counts.attributed() == 0 {
        (outcome.verdict, outcome.split_verdict) = (VerdictName::Error, VerdictName::Error);
    }
    outcome
}

impl Outcome {
    fn of(judgement: Judgement) -> Self {
        let verdict = judgement.verdict.into();
        Self {
            verdict,
            split_verdict: verdict,
            interrupted: false,
            reasons: judgement.reasons,
            findings: Vec::new(),
            counts: judgement.seen,
            assignment: judgement.assignment,
            windows: judgement.windows,
            test: Some(judgement.judged),
            change: judgement.change,
            agreement: judgement.agreement,
            parts: judgement.parts,
            sessions: None,
            limits: Vec::new(),
        }
    }

    /// The status that the process ends with.
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    /// What a FAIL rests on: 0 where it rests on no test; `None` where nothing was tested.
    pub fn fail_p_value(&self, alpha: f64) -> Option<f64> {
        let tests = self
            .test
            .iter()
            .chain(self.parts.iter().map(|part| &part.judgement.judged));
        let tested: Vec<f64> = tests
            .filter(|judged| judged.method.is_some())
            .map(Judged::fail_p_value)
            .collect();
        // Several parts of a claim share the error rate (Bonferroni).
        let smallest = tested.iter().copied().reduce(f64::min);
        let tested = smallest.map(|p| (p * tested.len() as f64).min(1.0));
        let refutes = tested.is_some_and(|p| p <= alpha);
        // A limit that is exceeded is a rule and no test.
        let by_rule = self.verdict == VerdictName::Fail && !refutes;
        if by_rule { Some(0.0) } else { tested }
    }

    fn not_measured(&mut self, reasons: Vec<Reason>) {
        (self.verdict, self.split_verdict) = (VerdictName::Error, VerdictName::Error);
        self.reasons = reasons;
    }

    /// Puts the verdict on the sessions in place of one on the split, which responses that depend on each
    /// other do not carry.
    fn judge_sessions(&mut self, claim: &Claim, measured: &Measured, evidence: &Evidence) {
        let kept = stickiness::judge(claim, measured, evidence, &self.assignment);
        self.test = None;
        self.change = None;
        if let Some(kept) = kept.as_ref().filter(|_| measured.counted.attributed() > 0) {
            self.reasons.clone_from(&kept.reasons);
            self.reasons.extend(unmeasured::missing_answers(measured));
            self.verdict = kept.verdict.into();
            self.split_verdict = self.verdict;
        }
        self.sessions = kept;
    }

    /// Holds the backends' health against the claim's limits.
    fn hold_to_limits(&mut self, claim: &Claim, measured: &Measured) {
        for &(backend, limit) in &claim.limits {
            let held = health::hold(claim, measured, self, (backend, limit));
            self.limits.push(held.clone());
            let Some(reason) = held.reason else { continue };
            let is_worse = match self.verdict {
                VerdictName::Pass => true,
                VerdictName::Inconclusive => held.verdict == VerdictName::Fail,
                VerdictName::Fail | VerdictName::Error | VerdictName::Measured => false,
            };
            let place = if is_worse { 0 } else { self.reasons.len() };
            self.reasons.insert(place, reason);
            if is_worse {
                self.verdict = held.verdict;
            }
        }
    }

    /// Leaves the counts, and takes away what was concluded from them.
    fn forget_the_tests(&mut self) {
        self.test = None;
        self.change = None;
        self.agreement = None;
        self.parts.clear();
        self.findings.clear();
    }
}
