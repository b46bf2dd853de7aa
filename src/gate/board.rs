//! All checks of a gate, and which of them runs next.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::answer::{Answer, AnswerVerdict};
use super::check::{Check, QueueFull, Reply, Step};
use super::{Limits, NamedCheck};
use crate::report::Report;

/// The checks, by index.
#[derive(Debug)]
pub(super) struct Board {
    states: Vec<State>,
    most_runs: usize,
    /// The check that is looked at first, so that all get their turn.
    first: usize,
}

/// One check as it stands.
#[derive(Debug)]
pub(super) struct State {
    check: Check<Told>,
    /// The report of the last run, where there was one.
    report: Option<Report>,
    /// Runs that have ended, by verdict.
    ended: BTreeMap<&'static str, u64>,
}

/// An answer, and when its run had ended.
#[derive(Debug)]
struct Told {
    answer: Answer,
    finished: SystemTime,
}

/// Begins a run of a check, if one is due.
type Start = fn(&mut Check<Told>, SystemTime) -> Option<Step>;

/// What a run brought: its report, or why there was none.
pub(super) type Brought = Result<Report, String>;

impl Board {
    pub(super) fn new(checks: &[NamedCheck], limits: &Limits) -> Self {
        let state = |check: &NamedCheck| State {
            check: Check::new(check.step(), limits.interval, limits.max_age),
            report: None,
            ended: BTreeMap::new(),
        };
        Self {
            states: checks.iter().map(state).collect(),
            most_runs: limits.max_runs.get(),
            first: 0,
        }
    }

    /// Answers a call; what is not known will run.
    pub(super) fn ask(
        &mut self,
        (index, named): (usize, &NamedCheck),
        step: &Step,
        not_before: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<Answer, QueueFull> {
        let reply = self.states[index].check.ask(step, not_before, now)?;
        Ok(match reply {
            Reply::Running => Answer::running(&named.name, step),
            Reply::Known(told, under_way) => told.answer.told(told.finished, now, under_way),
        })
    }

    /// The run to begin now, if one may; it counts as begun. What somebody waits for comes first.
    pub(super) fn start(&mut self, now: SystemTime) -> Option<(usize, Step)> {
        if self.is_full() {
            return None;
        }
        let starts: [Start; 2] = [Check::start_asked, Check::start_in_background];
        let all = self.states.len();
        for start in starts {
            for index in (self.first..all).chain(0..self.first) {
                if let Some(step) = start(&mut self.states[index].check, now) {
                    self.first = (index + 1) % all;
                    return Some((index, step));
                }
            }
        }
        None
    }

    /// Whether as many runs are under way as may.
    fn is_full(&self) -> bool {
        let running = self.states.iter().filter(|state| state.is_running());
        running.count() >= self.most_runs
    }

    /// How long until a run may begin of itself; `None` when only a call or the end of a run changes that.
    pub(super) fn idle_for(&self, now: SystemTime) -> Option<Duration> {
        let states = self.states.iter().filter(|_| !self.is_full());
        states.filter_map(|state| state.check.idle_for(now)).min()
    }

    /// Takes what a run brought.
    pub(super) fn finish(
        &mut self,
        (index, named): (usize, &NamedCheck),
        step: &Step,
        brought: Brought,
        now: SystemTime,
    ) {
        let answer = match &brought {
            Ok(report) => Answer::of_report(&named.name, step, report),
            Err(why) => Answer::of_failure(&named.name, step, why),
        };
        let state = &mut self.states[index];
        state.report = brought.ok();
        let code = state
            .report
            .as_ref()
            .map_or("error", |report| report.verdict.code());
        *state.ended.entry(code).or_default() += 1;
        let is_verdict = answer.verdict != AnswerVerdict::Error;
        let told = Told {
            answer,
            finished: now,
        };
        state.check.finish(told, is_verdict, now);
    }

    pub(super) fn states(&self) -> &[State] {
        &self.states
    }
}

impl State {
    /// The report of the last run, unless it is too old to be told.
    pub(super) fn report(&self, now: SystemTime) -> Option<&Report> {
        self.check.latest(now).and(self.report.as_ref())
    }

    pub(super) fn is_running(&self) -> bool {
        self.check.is_running()
    }

    pub(super) fn queued(&self) -> usize {
        self.check.queued()
    }

    /// Runs that have ended, by verdict.
    pub(super) fn ended(&self) -> &BTreeMap<&'static str, u64> {
        &self.ended
    }
}
