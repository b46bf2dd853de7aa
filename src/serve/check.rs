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
    brought: O,
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
        Ok(Reply::Known(&self.outcomes[known].brought, again))
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
    pub(super) fn finish(&mut self, brought: O, is_verdict: bool, now: Moment) {
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
            brought,
        });
    }

    /// What the last run brought, unless that is too old to be told.
    pub(super) fn latest(&self, now: Moment) -> Option<&O> {
        let last = self.outcomes.last()?;
        last.finished
            .is_within(self.max_age, now)
            .then_some(&last.brought)
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
mod tests {
    use super::super::moment::tests::at;
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(5);
    const MAX_AGE: Duration = Duration::from_mins(10);

    fn weights(stable: f64, canary: f64) -> Step {
        Step {
            split: Split::new([("stable", stable), ("canary", canary)]).unwrap(),
            backends: Vec::new(),
        }
    }

    fn split(stable: u32) -> Step {
        weights(f64::from(stable), f64::from(100 - stable))
    }

    /// A check of 70/30 that runs when it is asked alone.
    fn on_demand() -> Check<&'static str> {
        Check::new(split(70), None, MAX_AGE)
    }

    #[test]
    fn what_is_not_known_runs_and_is_given_from_then_on() {
        let mut check = on_demand();
        assert_eq!(check.start_asked(at(0)), None);
        assert_eq!(check.ask(&split(70), None, at(0)), Ok(Reply::Running));
        assert_eq!(check.start_asked(at(1)), Some(split(70)));
        assert_eq!(check.ask(&split(70), None, at(2)), Ok(Reply::Running));
        check.finish("pass", true, at(3));
        assert_eq!(
            check.ask(&split(70), None, at(4)),
            Ok(Reply::Known(&"pass", false))
        );
        assert_eq!(check.start_asked(at(5)), None);
    }

    #[test]
    fn a_thousand_callers_share_one_run() {
        let mut check = on_demand();
        for _ in 0..1000 {
            assert_eq!(check.ask(&split(90), None, at(0)), Ok(Reply::Running));
        }
        assert_eq!(check.queued(), 1);
        assert_eq!(check.start_asked(at(1)), Some(split(90)));
        assert_eq!(check.start_asked(at(1)), None);
        for _ in 0..1000 {
            assert_eq!(check.ask(&split(90), None, at(2)), Ok(Reply::Running));
        }
        assert_eq!(check.queued(), 0);
    }

    #[test]
    fn a_run_that_started_before_the_step_never_counts_for_it() {
        let mut check = on_demand();
        let _ = check.ask(&split(70), None, at(0));
        check.start_asked(at(10)).unwrap();
        // The step comes while the run is under way: another one will be needed.
        assert_eq!(
            check.ask(&split(70), Some(at(11).wall), at(12)),
            Ok(Reply::Running)
        );
        check.finish("before the step", true, at(20));
        assert_eq!(
            check.ask(&split(70), Some(at(11).wall), at(21)),
            Ok(Reply::Running)
        );
        assert_eq!(
            check.ask(&split(70), Some(at(10).wall), at(21)),
            Ok(Reply::Known(&"before the step", false))
        );
        assert_eq!(check.start_asked(at(22)), Some(split(70)));
        check.finish("after the step", true, at(30));
        assert_eq!(
            check.ask(&split(70), Some(at(11).wall), at(31)),
            Ok(Reply::Known(&"after the step", false))
        );
    }

    #[test]
    fn a_start_that_lies_ahead_is_waited_for_and_the_earliest_decides() {
        let mut check = on_demand();
        let _ = check.ask(&split(70), Some(at(60).wall), at(0));
        let _ = check.ask(&split(70), Some(at(50).wall), at(0));
        let _ = check.ask(&split(70), Some(at(90).wall), at(0));
        assert_eq!(check.idle_for(at(0)), Some(Duration::from_secs(50)));
        assert_eq!(check.start_asked(at(49)), None);
        // What waits for its time holds nobody up.
        let _ = check.ask(&split(50), None, at(49));
        assert_eq!(check.start_asked(at(49)), Some(split(50)));
        check.finish("fifty", true, at(50));
        assert_eq!(check.start_asked(at(50)), Some(split(70)));
    }

    #[test]
    fn a_rollout_gets_the_verdict_of_its_step_alone() {
        let mut check = on_demand();
        for (step, stable) in [(0, 90), (1000, 70), (2000, 50)] {
            let begun = Some(at(step).wall);
            assert_eq!(
                check.ask(&split(stable), begun, at(step)),
                Ok(Reply::Running)
            );
            assert_eq!(check.start_asked(at(step + 1)), Some(split(stable)));
            check.finish("pass", true, at(step + 5));
            let known = check.ask(&split(stable), begun, at(step + 6));
            assert_eq!(known, Ok(Reply::Known(&"pass", false)));
        }
        // A later rollout of the same weights begins anew.
        assert_eq!(
            check.ask(&split(50), Some(at(2100).wall), at(2100)),
            Ok(Reply::Running)
        );
    }

    #[test]
    fn a_stale_verdict_is_not_given_and_the_check_runs_again() {
        let mut check = on_demand();
        let _ = check.ask(&split(70), None, at(0));
        check.start_asked(at(0)).unwrap();
        check.finish("pass", true, at(100));
        assert_eq!(
            check.ask(&split(70), None, at(699)),
            Ok(Reply::Known(&"pass", false))
        );
        assert_eq!(check.latest(at(699)), Some(&"pass"));
        assert_eq!(check.latest(at(700)), None);
        assert_eq!(check.ask(&split(70), None, at(700)), Ok(Reply::Running));
        assert_eq!(check.start_asked(at(700)), Some(split(70)));
    }

    #[test]
    fn the_same_shares_in_other_numbers_are_the_same_split() {
        let mut check = on_demand();
        let sevenths = weights(7.0, 3.0);
        let _ = check.ask(&sevenths, None, at(0));
        check.start_asked(at(0)).unwrap();
        check.finish("pass", true, at(1));
        assert_eq!(
            check.ask(&split(70), None, at(2)),
            Ok(Reply::Known(&"pass", false))
        );
        assert_eq!(check.ask(&split(69), None, at(2)), Ok(Reply::Running));
    }

    #[test]
    fn the_same_weights_for_other_pods_are_another_step() {
        let mut check = on_demand();
        let of = |hash: &str| Step {
            backends: vec![format!("canary=*-{hash}-*")],
            ..split(70)
        };
        let _ = check.ask(&of("6b84"), None, at(0));
        check.start_asked(at(0)).unwrap();
        check.finish("pass", true, at(1));
        let known = check.ask(&of("6b84"), None, at(2));
        assert_eq!(known, Ok(Reply::Known(&"pass", false)));
        // The next rollout of the same weights has pods of its own.
        assert_eq!(check.ask(&of("5d9f"), None, at(2)), Ok(Reply::Running));
        assert_eq!(check.ask(&split(70), None, at(2)), Ok(Reply::Running));
    }

    #[test]
    fn what_is_remembered_and_what_waits_is_bounded() {
        let mut check = on_demand();
        for stable in 0..100 {
            let _ = check.ask(&split(stable), None, at(0));
        }
        assert_eq!(check.queued(), MOST_STEPS);
        assert_eq!(check.ask(&split(99), None, at(0)), Err(QueueFull));
        assert_eq!(check.ask(&split(0), None, at(0)), Ok(Reply::Running));
        let mut check = on_demand();
        for stable in [70].into_iter().chain(0..50) {
            let _ = check.ask(&split(stable), None, at(0));
            check.start_asked(at(0)).unwrap();
            check.finish("pass", true, at(1));
        }
        assert_eq!(check.outcomes.len(), MOST_STEPS);
        // The configured split's outlives the others.
        assert_eq!(
            check.ask(&split(70), None, at(2)),
            Ok(Reply::Known(&"pass", false))
        );
        assert_eq!(check.ask(&split(0), None, at(2)), Ok(Reply::Running));
    }

    #[test]
    fn what_is_not_due_yet_keeps_nothing_out_that_is() {
        let mut check = on_demand();
        for stable in 0..8 {
            let _ = check.ask(&split(stable), Some(at(300).wall), at(0));
        }
        assert_eq!(check.queued(), MOST_STEPS);
        assert_eq!(check.ask(&split(70), None, at(0)), Ok(Reply::Running));
        assert_eq!(check.queued(), MOST_STEPS);
        assert_eq!(check.start_asked(at(0)), Some(split(70)));
        // Full again with what may wait, it takes nothing more of that kind.
        let _ = check.ask(&split(8), Some(at(300).wall), at(0));
        assert_eq!(
            check.ask(&split(9), Some(at(300).wall), at(0)),
            Err(QueueFull)
        );
    }

    #[test]
    fn what_could_not_measure_is_told_and_measured_again() {
        let mut check = on_demand();
        let _ = check.ask(&split(70), None, at(0));
        check.start_asked(at(0)).unwrap();
        check.finish("error", false, at(1));
        assert_eq!(
            check.ask(&split(70), None, at(2)),
            Ok(Reply::Known(&"error", false))
        );
        assert_eq!(
            check.ask(&split(70), None, at(11)),
            Ok(Reply::Known(&"error", true))
        );
        assert_eq!(check.start_asked(at(11)), Some(split(70)));
        assert_eq!(
            check.ask(&split(70), None, at(12)),
            Ok(Reply::Known(&"error", true))
        );
        check.finish("pass", true, at(13));
        assert_eq!(
            check.ask(&split(70), None, at(14)),
            Ok(Reply::Known(&"pass", false))
        );
    }

    #[test]
    fn the_background_runs_the_configured_split_from_start_to_start() {
        let mut check = Check::new(split(70), Some(INTERVAL), MAX_AGE);
        assert_eq!(check.idle_for(at(0)), Some(Duration::ZERO));
        assert_eq!(check.start_in_background(at(0)), Some(split(70)));
        assert_eq!((check.idle_for(at(1)), check.is_running()), (None, true));
        check.finish("pass", true, at(20));
        assert_eq!(check.start_in_background(at(299)), None);
        assert_eq!(check.idle_for(at(20)), Some(Duration::from_secs(280)));
        // A run of another split does not stand for it; one that was asked for does.
        let _ = check.ask(&split(50), None, at(250));
        check.start_asked(at(250)).unwrap();
        check.finish("fifty", true, at(260));
        let _ = check.ask(&split(70), Some(at(260).wall), at(260));
        check.start_asked(at(260)).unwrap();
        check.finish("pass", true, at(270));
        assert_eq!(check.start_in_background(at(400)), None);
        assert_eq!(check.start_in_background(at(560)), Some(split(70)));
    }

    #[test]
    fn while_a_background_run_is_under_way_the_last_verdict_is_given() {
        let mut check = Check::new(split(70), Some(INTERVAL), MAX_AGE);
        check.start_in_background(at(0)).unwrap();
        check.finish("pass", true, at(20));
        check.start_in_background(at(300)).unwrap();
        assert_eq!(
            check.ask(&split(70), None, at(301)),
            Ok(Reply::Known(&"pass", true))
        );
        assert_eq!(
            check.ask(&split(70), Some(at(290).wall), at(301)),
            Ok(Reply::Running)
        );
        assert_eq!(check.queued(), 0);
    }
}
