//! Shards of a run: each is left to the merge, which judges all of them together, or says why not.

use super::{Outcome, Reason, VerdictName, judge};
use crate::claim::Claim;
use crate::format::count;
use crate::measured::Measured;
use crate::plan::shard::Shard;

/// What keeps the shards that were gathered from being judged as one run.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// What does not belong together: nothing is added up then.
    pub refusals: Vec<Reason>,
    /// What is missing.
    pub gaps: Vec<Reason>,
    /// Whether every shard is there, and none of them could measure.
    pub none_measured: bool,
    /// What is worth knowing besides.
    pub notes: Vec<Reason>,
}

/// Judges a run that several shards measured.
pub fn judge_shards(claim: &Claim, measured: &Measured, gathered: &Gathered) -> Outcome {
    let mut outcome = judge(claim, measured);
    // Merging was not interrupted, though a shard may have been.
    outcome.interrupted = false;
    if !gathered.refusals.is_empty() {
        outcome.refuse(VerdictName::Inconclusive, gathered.refusals.clone());
        return outcome;
    }
    if !gathered.gaps.is_empty() {
        let verdict = if gathered.none_measured {
            VerdictName::Error
        } else {
            VerdictName::Inconclusive
        };
        outcome.refuse(verdict, gathered.gaps.clone());
    }
    outcome.reasons.extend(gathered.notes.iter().cloned());
    outcome
}

impl Outcome {
    /// Turns what follows for a shard into what it measured.
    pub(super) fn leave_to_the_merge(&mut self, shard: Shard, attributed: u64) {
        self.leave(format!(
            "shard {shard} attributed {}; lbtest merge judges all shards together",
            count(attributed, "request")
        ));
    }

    /// The same of a marked run, of which the pods' logs tell who answered.
    pub(super) fn leave_to_the_logs(&mut self, answered: u64) {
        self.leave(format!(
            "{} answered, and the pods' logs tell by whom: kubectl logs -l app=NAME --prefix \
             --tail=-1 --since=10m | lbtest analyze --run FILE judges them",
            count(answered, "marked request")
        ));
    }

    fn leave(&mut self, message: String) {
        self.forget_the_tests();
        // By group and by the place in the run's order, they stand in the measurement.
        self.windows.clear();
        if self.verdict == VerdictName::Error {
            return;
        }
        self.verdict = VerdictName::Measured;
        self.split_verdict = VerdictName::Measured;
        self.reasons = vec![Reason::new("measured", message)];
    }

    /// Keeps what was counted, and says why it is not judged.
    fn refuse(&mut self, verdict: VerdictName, reasons: Vec<Reason>) {
        self.forget_the_tests();
        self.verdict = verdict;
        self.split_verdict = verdict;
        self.reasons = reasons;
    }
}
