//! One line on a run under way.
//!
//! Its shares and intervals are interim figures and no verdict: a run is looked at again and again, and an
//! interval that holds once does not hold at every look. The line says so.
//!
//! A terminal gets a scale of each share besides, `(  ==|o=  )`: what is expected in the middle, the tolerance in brackets, the
//! interval around the share.

mod scale;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::escape::terminal;
use super::names::cut;
use crate::format::time;
use crate::plan::Plan;
use crate::verdict::intervals;
use scale::Scale;

/// The width of the bar that says how much is done.
const BAR: usize = 10;
/// Of two backends each is as far off as the other, but for rounding.
const SAME_DISTANCE: f64 = 1e-9;
/// Parts that are more dispensable than this leave before a scale does.
const MOST_BESIDE_A_SCALE: u8 = 2;
/// Longer names are cut.
const NAME_WIDTH: usize = 40;
/// More backends than this are counted.
const MOST_BACKENDS: usize = 6;

/// A run under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Requests handed out, those in place of unidentified ones not counted.
    pub dispatched: u64,
    /// From the first request until now.
    pub elapsed: Duration,
    /// Identified responses by backend.
    pub observed: Vec<u64>,
    /// Those of workloads that are no backend, or of which that is in doubt.
    pub others: BTreeMap<String, u64>,
    /// Requests without an identity, those without a response included.
    pub unattributed: u64,
    /// Requests without a whole response.
    pub failed: u64,
    /// Requests that ended within the last seconds, each second; `None` where that is not known yet.
    pub per_second: Option<f64>,
}

/// What is told of the shares beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    intervals: bool,
    scales: Scales,
}

/// Which shares have a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scales {
    All,
    /// That which is farthest off: of two backends the one mirrors the other.
    Farthest,
    None,
}

impl Detail {
    const LOG: Self = Self {
        intervals: true,
        scales: Scales::None,
    };
    const BARE: Self = Self {
        intervals: false,
        scales: Scales::None,
    };
    /// The more room there is, the more is told.
    const ON_A_TERMINAL: [Self; 4] = [
        Self {
            intervals: true,
            scales: Scales::All,
        },
        Self {
            intervals: false,
            scales: Scales::All,
        },
        Self {
            intervals: false,
            scales: Scales::Farthest,
        },
        Self::BARE,
    ];
}

/// A part of the line, and how soon it is left out where there is no room: the greatest first.
struct Part {
    text: String,
    dispensable: u8,
}

impl Live {
    /// The share of the run that is done, from 0 to 1; `None` where that is not known.
    fn done(&self, plan: &Plan) -> Option<f64> {
        let by_requests = plan
            .budget
            .requests
            .map(|requests| self.dispatched as f64 / requests.get() as f64);
        let by_time = plan
            .budget
            .duration
            .map(|duration| self.elapsed.as_secs_f64() / duration.as_secs_f64());
        let done = match (by_requests, by_time) {
            (Some(requests), Some(time)) => requests.max(time),
            (Some(done), None) | (None, Some(done)) => done,
            (None, None) => return None,
        };
        Some(done.clamp(0.0, 1.0))
    }

    /// The time until the run ends at the latest, at the pace so far.
    fn left(&self, plan: &Plan) -> Option<f64> {
        let limit = plan.budget.duration.unwrap_or(Duration::MAX);
        let limit = limit.min(plan.budget.max_duration);
        let by_time = limit.saturating_sub(self.elapsed).as_secs_f64();
        let Some(requests) = plan.budget.requests else {
            return Some(by_time);
        };
        let rate = self.per_second.filter(|&rate| rate > 0.0)?;
        let by_requests = requests.get().saturating_sub(self.dispatched) as f64 / rate;
        Some(by_requests.min(by_time))
    }

    /// The line in at most `width` characters.
    pub fn line(&self, plan: &Plan, width: usize) -> String {
        let fits = |parts: &[Part]| length(parts, "  ") <= width;
        let mut parts = Vec::new();
        for detail in Detail::ON_A_TERMINAL {
            parts.clear();
            parts.extend(self.done(plan).map(|done| Part {
                text: bar(done),
                dispensable: 7,
            }));
            parts.extend(self.parts(plan, detail));
            let least = match (detail.intervals, detail.scales) {
                // What is told of the shares goes before anything else does.
                (true, _) => u8::MAX,
                (false, Scales::None) => 0,
                (false, _) => MOST_BESIDE_A_SCALE,
            };
            while !fits(&parts) && parts.len() > 1 {
                let places = parts.iter().enumerate();
                let most = places.max_by_key(|(_, part)| part.dispensable);
                match most {
                    Some((place, part)) if part.dispensable > least => parts.remove(place),
                    _ => break,
                };
            }
            if fits(&parts) {
                break;
            }
        }
        let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        text.join("  ").chars().take(width).collect()
    }

    /// The line for a log, as long as it needs to be.
    pub fn log_line(&self, plan: &Plan) -> String {
        let parts = self.parts(plan, Detail::LOG);
        let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        format!("{} (interim figures, no verdict)", text.join(", "))
    }

    fn parts(&self, plan: &Plan, detail: Detail) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut say = |dispensable: u8, text: String| parts.push(Part { text, dispensable });
        let of = plan
            .budget
            .requests
            .map_or(String::new(), |n| format!(" of {n}"));
        say(0, format!("{}{of} requests", self.dispatched));
        if let Some(split) = self.split(plan, detail) {
            say(1, split);
        }
        if let Some(rate) = self.per_second {
            say(4, format!("{rate:.0}/s"));
        }
        say(
            if self.failed > 0 { 2 } else { 6 },
            format!("{} failed", self.failed),
        );
        let unidentified = self.unattributed.saturating_sub(self.failed);
        if unidentified > 0 {
            say(5, format!("{unidentified} unidentified"));
        }
        if let Some(left) = self.left(plan) {
            say(3, format!("{} left", coarse(left)));
        }
        parts
    }

    /// `interim v1 69.8 % (68.3 to 71.2) ....(.=o|=.)...., v2 …`; intervals only where responses are independent.
    fn split(&self, plan: &Plan, detail: Detail) -> Option<String> {
        let total: u64 = self.observed.iter().chain(self.others.values()).sum();
        if total == 0 {
            return None;
        }
        let split = &plan.claim.split;
        let scales: Vec<Option<Scale>> = self.scales(plan, total);
        let farthest = scales
            .iter()
            .flatten()
            .map(Scale::distance)
            .fold(0.0, f64::max);
        let is_independent = plan.load.connection_use.is_fresh() && plan.claim.sessions.is_none();
        let rows = split
            .labels()
            .iter()
            .zip(&self.observed)
            .chain(&self.others);
        let of_rows = scales
            .iter()
            .map(Option::as_ref)
            .chain(std::iter::repeat(None));
        let mut has_scale = false;
        let describe = |((name, &count), scale): ((&String, &u64), Option<&Scale>)| {
            let mut text = format!(
                "{} {:.1} %",
                cut(&terminal(name), NAME_WIDTH),
                100.0 * count as f64 / total as f64
            );
            if detail.intervals && is_independent {
                let interval = intervals::of_independent(count, total);
                let ends = [interval.low, interval.high].map(|end| format!("{:.1}", 100.0 * end));
                let _ = write!(text, " ({})", ends.join(" to "));
            }
            let is_shown = |scale: &&Scale| match detail.scales {
                Scales::All => true,
                Scales::Farthest => !has_scale && scale.distance() + SAME_DISTANCE >= farthest,
                Scales::None => false,
            };
            if let Some(scale) = scale.filter(is_shown) {
                has_scale = true;
                text.push(' ');
                text.push_str(&scale.drawn(is_independent));
            }
            text
        };
        let mut all: Vec<String> = rows
            .zip(of_rows)
            .take(MOST_BACKENDS)
            .map(describe)
            .collect();
        if let Some(more) = (split.len() + self.others.len()).checked_sub(MOST_BACKENDS + 1) {
            all.push(format!("{} more", more + 1));
        }
        Some(format!("interim {}", all.join(", ")))
    }

    /// The scale of each backend that is to get something, where shares are judged.
    fn scales(&self, plan: &Plan, total: u64) -> Vec<Option<Scale>> {
        let shares = plan.claim.split.shares();
        let own = plan.claim.tolerances();
        let scale = |((&count, &expected), own): ((&u64, &f64), f64)| {
            let interval = intervals::of_independent(count, total);
            let shift = |share: f64| (share - expected) / own;
            (own > 0.0 && plan.claim.sessions.is_none()).then(|| Scale {
                share: shift(count as f64 / total as f64),
                low: shift(interval.low),
                high: shift(interval.high),
            })
        };
        self.observed
            .iter()
            .zip(shares)
            .zip(own)
            .map(scale)
            .collect()
    }
}

fn length(parts: &[Part], gap: &str) -> usize {
    let text: usize = parts.iter().map(|part| part.text.chars().count()).sum();
    text + gap.len() * parts.len().saturating_sub(1)
}

fn bar(done: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the bar's width"
    )]
    let filled = (done * BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled))
}

/// A time to the second, which does not jump about.
fn coarse(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{:.0} s", seconds.ceil())
    } else {
        time(seconds.ceil())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::settings::Settings;

    fn plan(table: &serde_json::Value) -> Plan {
        let settings = Settings::read(|| table).unwrap();
        settings.plan().unwrap()
    }

    fn live() -> Live {
        Live {
            dispatched: 1832,
            elapsed: Duration::from_secs(2),
            observed: vec![1270, 530],
            others: BTreeMap::new(),
            unattributed: 3,
            failed: 1,
            per_second: Some(916.0),
        }
    }

    #[test]
    fn a_wide_terminal_has_everything() {
        let message = live().line(&plan(&json!({"expect": "v1=70,v2=30"})), 200);
        assert_eq!(
            message,
            "[#####.....]  1832 of 3664 requests  interim v1 70.6 % (68.4 to 72.6) ....(..=o==.)...., \
             v2 29.4 % (27.4 to 31.6) ....(.==o=..)....  916/s  1 failed  2 unidentified  2 s left"
        );
    }

    #[test]
    fn a_terminal_of_80_columns_has_the_scale_of_what_is_farthest_off() {
        let two = plan(&json!({"expect": "v1=70,v2=30"}));
        assert_eq!(
            live().line(&two, 79),
            "1832 of 3664 requests  interim v1 70.6 % ....(..=o==.)...., v2 29.4 %  1 failed"
        );
        let three = plan(&json!({"expect": "a=50,b=30,c=20"}));
        let off = Live {
            observed: vec![990, 270, 540],
            failed: 0,
            ..live()
        };
        let message = off.line(&three, 79);
        assert!(message.contains("a 55.0 %, b 15.0 % <"), "{message}");
    }

    #[test]
    fn a_backend_that_is_to_get_nothing_has_no_scale() {
        let message = live().line(&plan(&json!({"expect": "v1=100,v2=0"})), 200);
        assert!(message.contains("v2 29.4 % (27.4 to 31.6)  "), "{message}");
    }

    #[test]
    fn a_line_never_is_wider_than_the_terminal_and_keeps_what_matters_most() {
        let plan = plan(&json!({"expect": "v1=70,v2=30"}));
        for width in 0..200 {
            let message = live().line(&plan, width);
            assert!(message.chars().count() <= width, "{width}: {message}");
        }
        let narrow = live().line(&plan, 60);
        assert_eq!(
            narrow,
            "1832 of 3664 requests  interim v1 70.6 %, v2 29.4 %"
        );
        assert_eq!(live().line(&plan, 22), "1832 of 3664 requests");
    }

    #[test]
    fn responses_that_depend_on_each_other_have_no_interval() {
        let shared = plan(&json!({"expect": "v1=70,v2=30", "keep_alive": true}));
        assert!(
            !live().line(&shared, 200).contains("to"),
            "{}",
            live().line(&shared, 200)
        );
    }

    #[test]
    fn a_log_line_says_that_it_is_no_verdict() {
        let message = live().log_line(&plan(&json!({"expect": "v1=70,v2=30"})));
        assert!(
            message.starts_with("1832 of 3664 requests, interim v1"),
            "{message}"
        );
        assert!(
            message.ends_with("2 s left (interim figures, no verdict)"),
            "{message}"
        );
    }

    #[test]
    fn the_time_left_is_that_of_the_duration_where_it_bounds_the_run() {
        let timed = plan(&json!({"expect": "v1=70,v2=30", "duration": "10s"}));
        assert!(live().line(&timed, 200).contains("8 s left"));
        let nothing = Live::default().line(&timed, 200);
        assert_eq!(nothing, "[..........]  0 requests  0 failed  10 s left");
    }

    #[test]
    fn workloads_in_doubt_keep_their_shares() {
        let message = Live {
            observed: vec![0, 0],
            others: BTreeMap::from([("blue".to_owned(), 700), ("green".to_owned(), 300)]),
            ..live()
        };
        let message = message.line(&plan(&json!({"expect": "v1=70,v2=30"})), 250);
        assert!(
            message.contains("v1 0.0 % (0.0 to 0.4) <...")
                && message.contains(", blue 70.0 % (67.1 to 72.8), green 30.0 %"),
            "{message}"
        );
    }

    #[test]
    fn many_backends_are_counted() {
        let expect: Vec<String> = (0..30).map(|n| format!("backend-{n}=1")).collect();
        let plan = plan(&json!({"expect": expect.join(",")}));
        let message = Live {
            observed: vec![10; 30],
            ..live()
        };
        assert!(message.log_line(&plan).contains("24 more"));
        assert!(message.line(&plan, 80).chars().count() <= 80);
    }
}
