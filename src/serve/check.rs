//! What is known about one check, what is asked for, and what runs: a state machine without a clock.
//!
//! A verdict answers a call only if it is of the call's step, if its run started no earlier than the call
//! allows, and if it is no older than the limit. Whatever else is asked for waits its turn; one run answers
//! everybody who waits for it.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::moment::Moment;
use crate::split::Split;

/// Steps whose outcomes are remembered, and steps that may wait: a rollout has few at a time.
const MOST_STEPS: usize = 8;

/// After a run that could not measure, the next one waits this long: a target that is down answers at once.
const RETRY: Duration = Duration::from_secs(10);

/// Shares that differ by less are the same split, written otherwise (70/30 and 7/3).
const SAME_SHARE: f64 = 1e-9;

/// What a run is to find: that of the configuration, or that of a rollout's step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The expected split, with the labels of the configured one in its order.
    pub(super) split: Split,
    /// Which pods are whose, as `--backend` takes it; empty where the configuration says it.
    pub(super) backends: Vec<String>,
}

/// The runs of one check; `O` is what a run brings.
#[derive(Debug)]
pub(super) struct Check<O> {
    configured: Step,
    /// From start to start in the background; `None` runs what is asked for alone.
    interval: Option<Duration>,
    max_age: Duration,
    outcomes: Vec<Outcome<O>>,
    queue: VecDeque<Asked>,
    running: Option<Running>,
    /// When the configured step last began to run.
    begun: Option<Moment>,
}

/// What one run brought.
#[derive(Debug, Clone)]
pub(super) struct Outcome<O> {
    step: Step,
    started: Moment,
    finished: Moment,
    /// Whether it is a verdict; else the run could not measure.
    is_verdict: bool,
    result: O,
}

#[derive(Debug)]
struct Asked {
    step: Step,
    /// The earliest start that serves somebody who waits.
    not_before: Option<SystemTime>,
}

#[derive(Debug)]
struct Running {
    step: Step,
    started: Moment,
}

/// The answer to a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<'a, O> {
    /// A run has ended that counts for the call; whether another of the same step is on its way.
    Known(&'a O, bool),
    /// A run that will count is under way, or waits.
    Running,
}

/// As many steps wait as may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_STEPS} other steps of this check wait for their run already: ask again later")]
pub(super) struct QueueFull;

impl<O> Check<O> {
    pub(super) fn new(configured: Step, interval: Option<Duration>, max_age: Duration) -> Self {
        Self {
            configured,
            interval,
            max_age,
            outcomes: Vec::new(),
            queue: VecDeque::new(),
            running: None,
            begun: None,
        }
    }

    /// Answers a call for `step`, by a run that started no earlier than `not_before`; what is not known
    /// will run.
    pub(super) fn ask(
        &mut self,
        step: &Step,
        not_before: Option<SystemTime>,
        now: Moment,
    ) -> Result<Reply<'_, O>, QueueFull> {
        let counts = |started: Moment| not_before.is_none_or(|earliest| started.wall >= earliest);
        let known = self.outcomes.iter().position(|outcome| {
            outcome.step.is_same(step)
                && counts(outcome.started)
                && outcome.finished.is_within(self.max_age, now)
        });
        let is_under_way = self
            .running
            .as_ref()
            .is_some_and(|run| run.step.is_same(step) && counts(run.started));
        let Some(known) = known else {
            if !is_under_way {
                self.enqueue(step, not_before, now)?;
            }
            return Ok(Reply::Running);
        };
        let Outcome {
            is_verdict,
            finished,
            ..
        } = self.outcomes[known];
        // What could not measure said nothing about the split, so that measuring again is no second try
        // at a verdict. With a full queue it waits for the next call.
        let again = is_under_way
            || !is_verdict
                && !finished.is_within(RETRY, now)
                && self.enqueue(step, not_before, now).is_ok();
        Ok(Reply::Known(&self.outcomes[known].result, again))
    }

    fn enqueue(
        &mut self,
        step: &Step,
        not_before: Option<SystemTime>,
        now: Moment,
    ) -> Result<(), QueueFull> {
        let waiting = self.queue.iter_mut();
        if let Some(asked) = waiting.into_iter().find(|asked| asked.step.is_same(step)) {
            // Whoever needs a later start asks again after it.
            asked.not_before = asked.not_before.min(not_before);
            return Ok(());
        }
        if self.queue.len() >= MOST_STEPS {
            // What is not due yet leaves for what is: whoever waits for it asks again.
            let mut waiting = self.queue.iter();
            let ahead = waiting.position(|asked| !is_due(asked.not_before, now));
            let ahead = ahead.filter(|_| is_due(not_before, now)).ok_or(QueueFull)?;
            self.queue.remove(ahead);
        }
        let step = step.clone();
        self.queue.push_back(Asked { step, not_before });
        Ok(())
    }

    /// The step to run now because somebody waits for it; it counts as running from here on.
    pub(super) fn start_asked(&mut self, now: Moment) -> Option<Step> {
        if self.running.is_some() {
            return None;
        }
        let mut waiting = self.queue.iter();
        let next = waiting.position(|asked| is_due(asked.not_before, now))?;
        let asked = self.queue.remove(next)?;
        Some(self.start(asked.step, now))
    }

    /// The configured step, when its turn in the background has come; it counts as running from here on.
    pub(super) fn start_in_background(&mut self, now: Moment) -> Option<Step> {
        let interval = self.interval?;
        let is_due = self
            .begun
            .is_none_or(|begun| !begun.is_within(interval, now));
        if self.running.is_some() || !is_due {
            return None;
        }
        Some(self.start(self.configured.clone(), now))
    }

    fn start(&mut self, step: Step, now: Moment) -> Step {
        if step.is_same(&self.configured) {
            self.begun = Some(now);
        }
        self.running = Some(Running {
            step: step.clone(),
            started: now,
        });
        step
    }

    /// Takes what the run brought, in place of what an earlier run of its step did.
    ///
    /// # Panics
    /// If nothing runs.
    pub(super) fn finish(&mut self, result: O, is_verdict: bool, now: Moment) {
        let Running { step, started } = self.running.take().expect("a run is under way");
        self.outcomes.retain(|known| !known.step.is_same(&step));
        if self.outcomes.len() >= MOST_STEPS {
            // The outcomes stand in the order in which they came. That of the configuration stays.
            let is_other = |known: &Outcome<O>| !known.step.is_same(&self.configured);
            let oldest = self.outcomes.iter().position(is_other).unwrap_or(0);
            self.outcomes.remove(oldest);
        }
        self.outcomes.push(Outcome {
            step,
            started,
            finished: now,
            is_verdict,
            result,
        });
    }

    /// What the last run brought, and how much longer it may be told; `None` once it is too old.
    pub(super) fn latest(&self, now: Moment) -> Option<(&O, Duration)> {
        let last = self.outcomes.last()?;
        let left = self.max_age.saturating_sub(last.finished.age(now));
        last.finished
            .is_within(self.max_age, now)
            .then_some((&last.result, left))
    }

    /// How long until something may start of itself; `None` while something runs, or nothing will.
    pub(super) fn idle_for(&self, now: Moment) -> Option<Duration> {
        if self.running.is_some() {
            return None;
        }
        let until = |time: SystemTime| time.duration_since(now.wall).unwrap_or_default();
        let asked = self
            .queue
            .iter()
            .map(|asked| asked.not_before.map_or(Duration::ZERO, until));
        let background = self.interval.map(|interval| match self.begun {
            Some(begun) => until(begun.wall + interval),
            None => Duration::ZERO,
        });
        asked.chain(background).min()
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Steps that wait for their run.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }
}

/// Whether a run that starts now starts no earlier than it may.
fn is_due(not_before: Option<SystemTime>, now: Moment) -> bool {
    not_before.is_none_or(|earliest| earliest <= now.wall)
}

impl Step {
    /// Whether both say the same, in whatever numbers.
    fn is_same(&self, other: &Self) -> bool {
        debug_assert_eq!(self.split.labels(), other.split.labels());
        let mut pairs = self.split.shares().iter().zip(other.split.shares());
        self.backends == other.backends && pairs.all(|(a, b)| (a - b).abs() < SAME_SHARE)
    }
}

#[cfg(test)]
mod tests;
