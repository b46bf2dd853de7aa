//! The progress display on stderr: a line that is repainted on a terminal, a line every few seconds in a log.
//!
//! A repaint is one write of the line over the one before, padded with spaces: no escape sequence, so that
//! there is nothing for a terminal not to know, and nothing to restore but the line itself.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use super::{OutputArgs, ascii};
use crate::identity::assignment::{Assignment, Group, assign};
use crate::load::Progress;
use crate::plan::Plan;
use crate::report::live::Live;
use crate::tally::pods::PodRegistry;

/// The width of a terminal that does not tell.
const WIDTH: usize = 80;
/// A log gets a line so often.
const LOGGED_EVERY: Duration = Duration::from_secs(3);
/// The pace is that of this long.
const PACE_OVER: Duration = Duration::from_secs(3);
/// No pace is told from less.
const PACE_FROM: Duration = Duration::from_millis(500);

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// On a terminal, where so many characters of the last line stand.
    Terminal(usize),
    /// In a log, which got a line at this time of the run.
    Log(Duration),
}

/// The progress display of one run.
#[derive(Debug)]
pub(in crate::cli) struct ProgressBar<'a> {
    plan: &'a Plan,
    registry: Arc<PodRegistry>,
    place: Place,
    /// Which group is which backend, as of so many groups.
    assignment: Option<(Vec<Group>, Assignment)>,
    /// Requests that had been sent by what time. What has ended is known a few times a second only, and the pace
    /// would stumble with it.
    pace: VecDeque<(Duration, u64)>,
}

impl<'a> ProgressBar<'a> {
    pub(in crate::cli) fn new(
        plan: &'a Plan,
        registry: &Arc<PodRegistry>,
        args: &OutputArgs,
    ) -> Self {
        let place = match (args.no_progress || args.quiet, io::stderr().is_terminal()) {
            (true, _) => Place::Nowhere,
            (false, true) => Place::Terminal(0),
            (false, false) => Place::Log(Duration::ZERO),
        };
        Self {
            plan,
            registry: Arc::clone(registry),
            place,
            assignment: None,
            pace: VecDeque::new(),
        }
    }

    pub(in crate::cli) fn show(&mut self, seen: &Progress) {
        match self.place {
            Place::Nowhere => {}
            Place::Terminal(before) => {
                let width = terminal_size::terminal_size_of(io::stderr())
                    .map_or(WIDTH, |(terminal_size::Width(width), _)| usize::from(width));
                // In the last column some terminals wrap.
                let line = self.live(seen).line(self.plan, width.saturating_sub(1));
                let line = ascii::shown(&line);
                let length = line.chars().count();
                let pad = before.min(width.saturating_sub(1)).saturating_sub(length);
                write(&format!("\r{line}{}", " ".repeat(pad)));
                self.place = Place::Terminal(length);
            }
            Place::Log(last) => {
                let live = self.live(seen);
                if seen.elapsed.saturating_sub(last) >= LOGGED_EVERY {
                    super::note(&live.log_line(self.plan));
                    self.place = Place::Log(seen.elapsed);
                }
            }
        }
    }

    fn live(&mut self, seen: &Progress) -> Live {
        let so_far = &seen.so_far;
        self.pace.push_back((seen.elapsed, seen.dispatched));
        while self
            .pace
            .get(1)
            .is_some_and(|(time, _)| seen.elapsed.saturating_sub(*time) >= PACE_OVER)
        {
            self.pace.pop_front();
        }
        let per_second = self.pace.front().and_then(|(time, before)| {
            let past = seen.elapsed.saturating_sub(*time);
            let sent = seen.dispatched.saturating_sub(*before);
            (past >= PACE_FROM).then(|| sent as f64 / past.as_secs_f64())
        });
        let (observed, others) = self.observed(&so_far.by_group);
        Live {
            dispatched: seen.dispatched,
            elapsed: seen.elapsed,
            observed,
            others,
            unattributed: so_far.unattributed,
            failed: so_far.failed,
            per_second,
        }
    }

    /// Counts by backend, and those of workloads that are none, or of which that is in doubt.
    fn observed(&mut self, by_group: &[u64]) -> (Vec<u64>, BTreeMap<String, u64>) {
        let split = &self.plan.claim.split;
        let known = self.assignment.as_ref().map(|(groups, _)| groups.len());
        if known.is_none_or(|groups| groups < by_group.len()) {
            let groups = self.registry.groups();
            let assignment = assign(split, &groups);
            self.assignment = Some((groups, assignment));
        }
        let (mut observed, mut others) = (vec![0; split.len()], BTreeMap::new());
        let Some((groups, assignment)) = &self.assignment else {
            return (observed, others);
        };
        for ((&count, backend), group) in by_group.iter().zip(&assignment.fixed).zip(groups) {
            match backend {
                Some(backend) => observed[*backend] += count,
                None if count > 0 => *others.entry(group.workload.clone()).or_default() += count,
                None => {}
            }
        }
        (observed, others)
    }

    /// Takes the display away, until it is shown again.
    pub(in crate::cli) fn clear(&mut self) {
        if let Place::Terminal(before @ 1..) = self.place {
            write(&format!("\r{}\r", " ".repeat(before)));
            self.place = Place::Terminal(0);
        }
    }
}

impl Drop for ProgressBar<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One write. A closed stderr is no reason to fail.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::assignment::Mappings;
    use crate::load::SoFar;
    use crate::plan::settings::Settings;

    #[test]
    fn the_pace_does_not_stumble_over_counts_that_come_late() {
        let table = json!({"expect": "v1=70,v2=30"});
        let settings = Settings::read(|| &table).unwrap();
        let plan = settings.plan().unwrap();
        let mappings = Mappings::parse(plan.claim.split.labels(), &[]).unwrap();
        let registry = PodRegistry::shared(mappings);
        let mut bar = ProgressBar {
            plan: &plan,
            registry,
            place: Place::Nowhere,
            assignment: None,
            pace: VecDeque::new(),
        };
        for tenths in 0..40 {
            let seen = Progress {
                snapshot: None,
                dispatched: 100 * tenths,
                limiter: None,
                doubt: None,
                is_cached: false,
                elapsed: Duration::from_millis(100 * tenths),
                so_far: SoFar::default(),
            };
            let pace = bar.live(&seen).per_second.map(f64::round);
            let expected = (tenths >= 5).then_some(1000.0);
            assert_eq!(pace, expected, "after {tenths} tenths of a second");
        }
    }
}
