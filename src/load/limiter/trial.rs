//! Tries a pace: do the rejections vanish? Wald's sequential probability ratio test of "as many as before"
//! against "a tenth of that".

use super::Answer;
use super::measure::Refill;
use crate::measured::RateLimit;

/// Either mistake is made at most about once in ten thousand trials (Wald 1945: the bound is ln of that).
const BOUND: f64 = 9.210_340_371_976_184;
/// The share of rejections before is known from a few rejections: so much of it is taken for granted.
const CAUTION: f64 = 0.5;
/// A slower trial of 503s, or one of rejections that suit no single rate, may take so many seconds: a broken
/// backend is to be told soon.
const AFFORDABLE_SECONDS: f64 = 3.0;
/// How a pace is lowered whose rejections stayed: once for 503s, several times for 429s.
const SLOWER: f64 = 0.25;
const SLOWER_EXPLICIT: f64 = 0.5;
/// A limiter that counts by the window, and has said so by 429, lets nothing through until the next one, whatever the
/// pace. A trial waits so many seconds for it.
const LONGEST_WINDOW_SECONDS: f64 = 60.0;
/// A trial that takes this many times as long as it takes where nothing is rejected is given up.
const LONGEST: f64 = 5.0;
const LEVELS: u32 = 1;
const LEVELS_EXPLICIT: u32 = 6;

/// What a trial found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Hardly any request is rejected at this pace.
    Vanished,
    /// About as many are as before.
    Stayed,
}

/// A trial of one pace.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    refill: Refill,
    /// The share of rejections before, kept off 0 and 1, where one answer would decide.
    before: f64,
    level: u32,
    evidence: f64,
    answers: u64,
    rejected: u64,
    /// Rejections before the first request that was let through, which are no evidence.
    waited: u64,
}

impl Trial {
    /// A trial of the pace that was measured, after so large a share of rejections.
    pub(super) fn new(refill: Refill, share: f64) -> Self {
        Self::of(refill, (CAUTION * share).clamp(0.003, 0.9))
    }

    fn of(refill: Refill, before: f64) -> Self {
        Self {
            refill,
            before,
            level: 0,
            evidence: 0.0,
            answers: 0,
            rejected: 0,
            waited: 0,
        }
    }

    pub(super) fn pace(&self) -> f64 {
        self.refill.found.pace_per_second
    }

    pub(super) fn found(&self) -> RateLimit {
        self.refill.found
    }

    /// The same at no more than `ceiling`.
    pub(super) fn below(mut self, ceiling: f64) -> Self {
        let pace = &mut self.refill.found.pace_per_second;
        *pace = pace.min(ceiling);
        self
    }

    /// The next lower pace that is worth a trial.
    pub(super) fn slower(&self) -> Option<Self> {
        let (levels, factor) = if self.refill.found.is_explicit {
            (LEVELS_EXPLICIT, SLOWER_EXPLICIT)
        } else {
            (LEVELS, SLOWER)
        };
        if self.level == levels {
            return None;
        }
        let mut next = Self::of(self.refill, self.before);
        next.level = self.level + 1;
        next.refill.found.per_second *= factor;
        next.refill.found.pace_per_second *= factor;
        Some(next)
    }

    /// Whether the trial ends soon enough, even if it takes as long as it takes to find a limiter.
    pub(super) fn is_affordable(&self) -> bool {
        let is_likely = self.refill.is_steady && self.level == 0;
        let seconds = BOUND / -self.weight_of_accepted() / self.pace();
        is_likely || self.refill.found.is_explicit || seconds <= AFFORDABLE_SECONDS
    }

    /// The share of rejections in this trial.
    pub(super) fn left_over(&self) -> f64 {
        self.rejected as f64 / self.answers.max(1) as f64
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Option<Finding> {
        let may_wait = self.answers == 0 && self.refill.found.is_explicit;
        if matches!(answer, Answer::Rejected(_))
            && may_wait
            && (self.waited as f64) < LONGEST_WINDOW_SECONDS * self.pace()
        {
            self.waited += 1;
            return None;
        }
        self.evidence += match answer {
            Answer::Failed => return None,
            Answer::Accepted => self.weight_of_accepted(),
            Answer::Rejected(_) => 10_f64.ln(),
        };
        self.answers += 1;
        self.rejected += u64::from(answer != Answer::Accepted);
        let undecided_for = self.answers as f64 * -self.weight_of_accepted() / BOUND;
        if self.evidence >= BOUND || undecided_for >= LONGEST {
            Some(Finding::Stayed)
        } else if self.evidence <= -BOUND {
            Some(Finding::Vanished)
        } else {
            None
        }
    }

    /// The log-likelihood ratio of an accepted request; negative.
    fn weight_of_accepted(&self) -> f64 {
        ((1.0 - self.before) / (1.0 - self.before / 10.0)).ln()
    }
}
