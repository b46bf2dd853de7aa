//! All checks of a gate, and which of them runs next.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::answer::{Answer, AnswerVerdict};
use super::check::{Check, QueueFull, Reply, Step};
use super::history::{Ended, MOST_RUNS};
use super::moment::Moment;
use super::{Limits, NamedCheck};
use crate::report::{Report, VerdictName};

/// Pages of runs that are kept, of all checks together: at some 20 KiB each, 20 MiB.
const MOST_PAGES: usize = 1000;

/// The checks, by index.
#[derive(Debug)]
pub(super) struct Board {
    states: Vec<State>,
    most_runs: usize,
    /// Pages that are kept of each check's last runs.
    most_pages: usize,
    /// The check that is looked at first, so that all get their turn.
    first: usize,
}

/// One check as it stands.
#[derive(Debug)]
pub(super) struct State {
    check: Check<Held>,
    /// The report of the last run, where there was one.
    report: Option<Report>,
    /// Runs that have ended, by verdict.
    ended: BTreeMap<&'static str, u64>,
    /// The last of them, the oldest first; those of earlier processes included.
    history: VecDeque<Past>,
}

/// A run that has ended, with its page where that is kept.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) ended: Ended,
    pub(super) page: Option<Page>,
}

/// A run's report for browsers, packed by gzip.
#[derive(Debug, Clone)]
pub(super) struct Page(pub(super) Bytes);

/// An answer, and when its run had ended.
#[derive(Debug)]
struct Held {
    answer: Answer,
    finished: Moment,
}

/// Begins a run of a check, if one is due.
type Start = fn(&mut Check<Held>, Moment) -> Option<Step>;

/// What a run brought: its report with the page of it, or why there was none.
pub(super) type RunResult = Result<(Report, Page), String>;

impl Board {
    /// Nothing is known but the `history` of earlier processes.
    pub(super) fn new(checks: &[NamedCheck], limits: &Limits, history: Vec<Ended>) -> Self {
        let mut states: Vec<State> = checks
            .iter()
            .map(|check| State {
                check: Check::new(check.step(), limits.interval, limits.max_age),
                report: None,
                ended: BTreeMap::new(),
                history: VecDeque::new(),
            })
            .collect();
        for ended in history {
            let known = checks.iter().position(|check| check.name == ended.check);
            if let Some(index) = known {
                states[index].remember(Past { ended, page: None }, 0);
            }
        }
        Self {
            states,
            most_runs: limits.max_runs.get(),
            most_pages: (MOST_PAGES / checks.len().max(1)).max(1),
            first: 0,
        }
    }

    /// Answers a call; what is not known will run.
    pub(super) fn ask(
        &mut self,
        (index, named): (usize, &NamedCheck),
        step: &Step,
        not_before: Option<SystemTime>,
        now: Moment,
    ) -> Result<Answer, QueueFull> {
        let reply = self.states[index].check.ask(step, not_before, now)?;
        Ok(match reply {
            Reply::Running => Answer::running(&named.name, step),
            Reply::Known(known, under_way) => known.answer.aged(known.finished, now, under_way),
        })
    }

    /// The run to begin now, if one may; it counts as begun. What somebody waits for comes first.
    pub(super) fn start(&mut self, now: Moment) -> Option<(usize, Step)> {
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
    pub(super) fn idle_for(&self, now: Moment) -> Option<Duration> {
        let states = self.states.iter().filter(|_| !self.is_full());
        states.filter_map(|state| state.check.idle_for(now)).min()
    }

    /// Takes what a run brought.
    pub(super) fn finish(
        &mut self,
        (index, named): (usize, &NamedCheck),
        step: &Step,
        result: RunResult,
        now: Moment,
    ) {
        let (result, page) = match result {
            Ok((report, page)) => (Ok(report), Some(page)),
            Err(why) => (Err(why), None),
        };
        let answer = match &result {
            Ok(report) => Answer::of_report(&named.name, step, report),
            Err(why) => Answer::of_failure(&named.name, step, why),
        };
        let verdict = result
            .as_ref()
            .map_or(VerdictName::Error, |report| report.verdict);
        let why = answer.reasons.first().map_or("", |reason| &reason.message);
        let outcome = (&*answer.expect, why);
        let ended = Ended::new(&named.name, verdict, now.wall, outcome);
        let state = &mut self.states[index];
        state.remember(Past { ended, page }, self.most_pages);
        state.report = result.ok();
        *state.ended.entry(verdict.code()).or_default() += 1;
        let is_verdict = answer.verdict != AnswerVerdict::Error;
        let outcome = Held {
            answer,
            finished: now,
        };
        state.check.finish(outcome, is_verdict, now);
    }

    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// The last runs of all checks.
    pub(super) fn history(&self) -> Vec<Ended> {
        let all = self.states.iter().flat_map(State::history);
        all.map(|past| past.ended.clone()).collect()
    }
}

impl State {
    /// The report of the last run, unless it is too old to be told.
    pub(super) fn report(&self, now: Moment) -> Option<&Report> {
        self.check.latest(now).and(self.report.as_ref())
    }

    /// What the last run said, how long ago it ended, and how much longer that may be told.
    pub(super) fn latest(&self, now: Moment) -> Option<(&Answer, [Duration; 2])> {
        let (known, left) = self.check.latest(now)?;
        Some((&known.answer, [known.finished.age(now), left]))
    }

    /// The last runs, the oldest first.
    pub(super) fn history(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.history.iter()
    }

    fn remember(&mut self, past: Past, most_pages: usize) {
        self.history.push_back(past);
        if self.history.len() > MOST_RUNS {
            self.history.pop_front();
        }
        let older = self.history.iter_mut().rev().skip(most_pages);
        older.for_each(|past| past.page = None);
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::moment::tests::at;
    use super::*;
    use crate::plan::settings::Settings;

    fn checks(names: &[&str]) -> Vec<NamedCheck> {
        let check = |name: &&str| NamedCheck {
            name: (*name).to_owned(),
            settings: Settings::default(),
            split: "v1=70,v2=30".parse().unwrap(),
            findings: Vec::new(),
        };
        names.iter().map(check).collect()
    }

    fn board(checks: &[NamedCheck], interval: Option<Duration>, most_runs: usize) -> Board {
        let limits = Limits {
            interval,
            max_age: Duration::from_mins(10),
            max_runs: NonZeroUsize::new(most_runs).unwrap(),
        };
        Board::new(checks, &limits, Vec::new())
    }

    /// The check that begins to run.
    fn begun(board: &mut Board, now: Moment) -> Option<usize> {
        board.start(now).map(|(index, _)| index)
    }

    #[test]
    fn what_is_asked_for_runs_before_the_background_and_no_more_run_than_may() {
        let checks = checks(&["a", "b", "c"]);
        let mut board = board(&checks, Some(Duration::from_mins(5)), 2);
        let step = checks[2].step();
        let answer = board.ask((2, &checks[2]), &step, None, at(0)).unwrap();
        assert_eq!(answer.verdict, AnswerVerdict::Running);
        assert_eq!(begun(&mut board, at(0)), Some(2));
        assert_eq!(begun(&mut board, at(0)), Some(0));
        assert_eq!(begun(&mut board, at(0)), None);
        // Nothing begins of itself while all places are taken.
        assert_eq!(board.idle_for(at(0)), None);
        board.finish((2, &checks[2]), &step, Err("no plan".to_owned()), at(1));
        assert_eq!(board.idle_for(at(1)), Some(Duration::ZERO));
        assert_eq!(begun(&mut board, at(1)), Some(1));
    }

    #[test]
    fn a_run_that_could_not_be_is_an_error_with_its_reason() {
        let checks = checks(&["a"]);
        let mut board = board(&checks, None, 1);
        let step = checks[0].step();
        let _ = board.ask((0, &checks[0]), &step, None, at(0));
        assert_eq!(begun(&mut board, at(0)), Some(0));
        board.finish((0, &checks[0]), &step, Err("no plan".to_owned()), at(2));
        let answer = board.ask((0, &checks[0]), &step, None, at(5)).unwrap();
        assert_eq!(answer.verdict, AnswerVerdict::Error);
        assert_eq!(answer.reasons[0].message, "no plan");
        assert_eq!(
            (answer.exit_status, answer.age_seconds),
            (Some(4), Some(3.0))
        );
        assert_eq!(board.states()[0].ended()["error"], 1);
        assert!(board.states()[0].report(at(5)).is_none());
    }

    #[test]
    fn checks_that_are_always_asked_for_take_turns() {
        let checks = checks(&["a", "b"]);
        let mut board = board(&checks, None, 1);
        let mut order = Vec::new();
        for second in 0..4 {
            for asked in checks.iter().enumerate() {
                let now = Some(at(second * 10).wall);
                let _ = board.ask(asked, &asked.1.step(), now, at(second * 10));
            }
            let (index, step) = board.start(at(second * 10)).unwrap();
            order.push(index);
            let result = Err(String::new());
            board.finish((index, &checks[index]), &step, result, at(second * 10 + 1));
        }
        assert_eq!(order, [0, 1, 0, 1]);
    }

    #[test]
    fn the_last_runs_are_remembered_and_those_before_the_start_are_no_verdict() {
        let checks = checks(&["a", "b"]);
        let limits = Limits {
            interval: None,
            max_age: Duration::from_mins(10),
            max_runs: NonZeroUsize::MIN,
        };
        let past = |check: &str, second| {
            Ended::new(check, VerdictName::Pass, at(second).wall, ("v1=1", "why"))
        };
        let before = vec![past("a", 1), past("gone", 2), past("b", 3)];
        let mut board = Board::new(&checks, &limits, before);
        assert_eq!(board.history(), [past("a", 1), past("b", 3)]);
        assert!(board.states()[0].latest(at(4)).is_none());
        let step = checks[0].step();
        for second in 0..100 {
            let _ = board.ask(
                (0, &checks[0]),
                &step,
                Some(at(second * 2).wall),
                at(second * 2),
            );
            assert_eq!(begun(&mut board, at(second * 2)), Some(0));
            let result = Err("no plan".to_owned());
            board.finish((0, &checks[0]), &step, result, at(second * 2 + 1));
        }
        let [a, b] = board.states() else { panic!() };
        assert_eq!((a.history().count(), b.history().count()), (MOST_RUNS, 1));
        let last = &a.history().last().unwrap().ended;
        assert_eq!((last.verdict, &*last.why), (VerdictName::Error, "no plan"));
        assert_eq!(last.finished_at, at(199).wall);
        let (answer, [age, left]) = a.latest(at(200)).unwrap();
        assert_eq!(answer.verdict, AnswerVerdict::Error);
        assert_eq!([age, left].map(|time| time.as_secs()), [1, 599]);
    }

    #[test]
    fn pages_are_kept_of_the_last_runs_alone() {
        let mut state = State {
            check: Check::new(checks(&["a"])[0].step(), None, Duration::from_mins(10)),
            report: None,
            ended: BTreeMap::new(),
            history: VecDeque::new(),
        };
        for second in 0..5 {
            let ended = Ended::new("a", VerdictName::Pass, at(second).wall, ("", ""));
            let page = Some(Page(Bytes::from_static(b"page")));
            state.remember(Past { ended, page }, 2);
        }
        let kept: Vec<bool> = state.history().map(|past| past.page.is_some()).collect();
        assert_eq!(kept, [false, false, false, true, true]);
    }
}
