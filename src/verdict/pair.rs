//! Whether two ingresses route alike: who answered on each side, and with what status → PASS, FAIL or INCONCLUSIVE.
//!
//! Neither is held against the expected split, which says only how much may be between them: so a mistake
//! that both make is none here.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::{Reason, VerdictName};
use crate::claim::Claim;
use crate::format::{p_value, percent, points};
use crate::identity::assignment::{Group, assign};
use crate::measured::{Ending, Measured, Unmeasured};
use crate::observation::{Failure, status};
use crate::stats::equivalence::tolerances;
use crate::stats::homogeneity::homogeneity;
use crate::stats::judge::Decision;
use crate::stats::two_sample::{self, TwoSample};
use crate::tally::counted::Counted;

/// Each side is asked in so many parts, in turn, so that what changes meanwhile changes for both.
pub const PARTS: u64 = 8;

/// What came back from one of two ingresses.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// All of its parts together.
    pub counted: Counted,
    /// The parts in their order, for what changed between them.
    parts: Vec<Counted>,
    /// Why nothing more could be measured; `None` when it was.
    pub failed: Option<Unmeasured>,
    /// Why less was measured than planned; `None` when nothing is missing.
    pub cut_short: Option<Ending>,
}

impl Side {
    /// Adds what one part of the run measured.
    pub fn add(&mut self, measured: &Measured) {
        self.count(&measured.counted);
        match &measured.ending {
            // An ingress that names nobody is told by its counts.
            Ok(Ending::Complete | Ending::ReplacementsSpent | Ending::NothingIdentified) => {}
            Ok(ending) => self.cut_short = Some(*ending),
            Err(why) => self.failed = Some(why.clone()),
        }
    }

    /// Adds the counts of one part of the run.
    pub fn count(&mut self, counted: &Counted) {
        self.counted.add(counted);
        let Counted {
            groups,
            by_status,
            unidentified_by_status,
            by_failure,
            ..
        } = counted.clone();
        self.parts.push(Counted {
            groups,
            by_status,
            unidentified_by_status,
            by_failure,
            ..Counted::default()
        });
    }

    /// Whether the user stopped it.
    pub fn is_interrupted(&self) -> bool {
        self.cut_short == Some(Ending::Interrupted)
            || self
                .failed
                .as_ref()
                .is_some_and(|why| why.code == Unmeasured::INTERRUPTED)
    }

    /// The p-value of "it did the same from its first part to its last": small where it changed.
    fn change_p_value(&self, claim: &Claim) -> f64 {
        let columns: Vec<&Counted> = self.parts.iter().collect();
        let tables = [answers(claim, &columns), statuses(claim, &columns)];
        let tested = tables.iter().map(|table| {
            let rows =
                (0..columns.len()).map(|part| table.iter().map(move |cell| cell.counts[part]));
            let rows: Vec<Vec<u64>> = rows.map(Iterator::collect).collect();
            homogeneity(&rows, 0.0).map_or(1.0, |tested| tested.p_value)
        });
        // Bonferroni: two tables.
        (2.0 * tested.fold(1.0, f64::min)).min(1.0)
    }

    /// The share of the requests that name no pod.
    fn nameless(&self) -> f64 {
        let nameless = self.counted.unidentified() + unanswered(&self.counted);
        let all = nameless + self.counted.attributed();
        nameless as f64 / all.max(1) as f64
    }
}

/// Requests that the ingress did not answer; what failed on this machine counts for nothing.
fn unanswered(counted: &Counted) -> u64 {
    let is_own = |failure| matches!(failure, Failure::Local | Failure::Abandoned);
    counted.failures(|failure| !is_own(failure))
}

/// One kind of answer, and how often each side gave it, or each part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The backend, or the status.
    pub name: String,
    /// How many requests got it, before and after.
    pub counts: Vec<u64>,
    /// How far apart the shares may be.
    pub margin: f64,
}

/// Two ingresses that were asked the same.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What follows.
    pub verdict: VerdictName,
    /// Why, the most important reason first.
    pub reasons: Vec<Reason>,
    pub answers: Vec<Cell>,
    pub statuses: Vec<Cell>,
    /// The tests of both; `None` where nothing could be compared.
    pub test: Option<TwoSample>,
}

/// The requests for each side that finding them alike takes.
pub fn planned(claim: &Claim) -> NonZeroU64 {
    let criterion = &claim.criterion;
    let n = two_sample::sample_size(claim.split.shares(), criterion.tolerance, criterion.alpha);
    NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN)
}

/// Judges whether both sides route alike; `sides[0]` is the ingress before, `sides[1]` the one after.
pub fn judge(claim: &Claim, sides: &[Side; 2]) -> Pair {
    let columns = sides.each_ref().map(|side| &side.counted);
    let (answers, statuses) = (answers(claim, &columns), statuses(claim, &columns));
    let mut pair = Pair {
        verdict: VerdictName::Error,
        reasons: Vec::new(),
        answers,
        statuses,
        test: None,
    };
    for (side, name) in sides.iter().zip(SIDES) {
        if let Some(why) = &side.failed {
            pair.reasons
                .push(Reason::new(why.code, format!("{name}: {}", why.message)));
        } else if side.counted.responses() == 0 {
            let message = format!("{name}: no request was answered");
            pair.reasons
                .push(Reason::new("nothing_attributed", message));
        }
    }
    if sides.iter().all(|side| side.counted.attributed() == 0) && pair.reasons.is_empty() {
        let message = "no response names a pod on either side: say how they do with --identify";
        pair.reasons
            .push(Reason::new("nothing_attributed", message));
    }
    if !pair.reasons.is_empty() {
        return pair;
    }
    let (by_answer, by_status) = (compared(&pair.answers), compared(&pair.statuses));
    let test = by_answer.and(by_status);
    let criterion = &claim.criterion;
    let decision = criterion
        .judge
        .decide(test.p_value, test.equivalence_p_value, criterion.alpha);
    let worse = if by_status.p_value < by_answer.p_value {
        &pair.statuses
    } else {
        &pair.answers
    };
    let (verdict, reason) = match decision {
        Decision::Fail => (VerdictName::Fail, differs(worse, test.p_value)),
        Decision::Inconclusive => (VerdictName::Inconclusive, undecided(claim, test)),
        Decision::Pass => (VerdictName::Pass, alike(claim)),
    };
    let holds = hindrances(claim, sides);
    pair.verdict = match verdict {
        VerdictName::Pass if !holds.is_empty() => VerdictName::Inconclusive,
        verdict => verdict,
    };
    if pair.verdict == verdict {
        pair.reasons.push(reason);
    }
    pair.reasons.extend(holds);
    pair.test = Some(test);
    pair
}

/// What the sides are called.
const SIDES: [&str; 2] = ["before", "after"];

/// What keeps a PASS from being said.
fn hindrances(claim: &Claim, sides: &[Side; 2]) -> Vec<Reason> {
    let most = claim.criterion.max_unattributed;
    let mut holds = Vec::new();
    for (side, name) in sides.iter().zip(SIDES) {
        if let Some(ending) = side.cut_short {
            let message = format!("{name}: the run was cut short ({})", ending.code());
            holds.push(Reason::new("cut_short", message));
        }
        // Bonferroni: two sides.
        let p = (2.0 * side.change_p_value(claim)).min(1.0);
        if p <= claim.criterion.alpha {
            let message = format!(
                "{name}: it changed during the run (p {}), so that what it does is not one thing to compare: try again once it keeps still",
                p_value(p)
            );
            holds.push(Reason::new("drift", message));
        }
        if side.nameless() > most {
            let message = format!(
                "{name}: {} of the requests name no pod, more than {}",
                percent(side.nameless()),
                percent(most)
            );
            holds.push(Reason::new("too_many_unattributed", message));
        }
    }
    holds
}

fn alike(claim: &Claim) -> Reason {
    let tolerance = points(claim.criterion.tolerance);
    Reason::new(
        "routes_alike",
        format!("both route alike: a difference of {tolerance} is ruled out"),
    )
}

fn undecided(claim: &Claim, test: TwoSample) -> Reason {
    let message = format!(
        "a difference of {} is neither seen (p {}) nor ruled out (p {})",
        points(claim.criterion.tolerance),
        p_value(test.p_value),
        p_value(test.equivalence_p_value)
    );
    Reason::new("routes_undecided", message)
}

/// That the sides differ, by the answer whose shares are farthest apart.
fn differs(cells: &[Cell], p: f64) -> Reason {
    let totals = totals(cells);
    let shares =
        |cell: &Cell| [0, 1].map(|side| cell.counts[side] as f64 / totals[side].max(1) as f64);
    let apart = |cell: &&Cell| {
        let [before, after] = shares(cell);
        (before - after).abs()
    };
    let farthest = cells
        .iter()
        .max_by(|one, other| apart(one).total_cmp(&apart(other)));
    let message = farthest.map_or(String::new(), |cell| {
        let [before, after] = shares(cell).map(percent);
        format!(": {} {before} before, {after} after", cell.name)
    });
    Reason::new(
        "routes_differ",
        format!("they route differently{message} (p {})", p_value(p)),
    )
}

fn totals(cells: &[Cell]) -> [u64; 2] {
    [0, 1].map(|side| cells.iter().map(|cell| cell.counts[side]).sum())
}

fn compared(cells: &[Cell]) -> TwoSample {
    let counts = |side: usize| {
        cells
            .iter()
            .map(|cell| cell.counts[side])
            .collect::<Vec<_>>()
    };
    let margins: Vec<f64> = cells.iter().map(|cell| cell.margin).collect();
    TwoSample::new(&counts(0), &counts(1), &margins)
}

/// Who answered: the backends of the split, other workloads by name, nobody by name.
fn answers(claim: &Claim, columns: &[&Counted]) -> Vec<Cell> {
    let (split, tolerance) = (&claim.split, claim.criterion.tolerance);
    let groups = columns.iter().flat_map(|counted| &counted.groups);
    let mut known: Vec<Group> = Vec::new();
    for counted in groups {
        if !known.contains(&counted.group) {
            known.push(counted.group.clone());
        }
    }
    let assigned = assign(split, &known).fixed;
    let margins = tolerances(split.shares(), tolerance);
    let cell = |name: &str, margin| Cell {
        name: name.to_owned(),
        counts: vec![0; columns.len()],
        margin,
    };
    let labels = split.labels().iter().zip(margins);
    // One that is to get nothing has no share to take half of.
    let margin = |margin: f64| if margin > 0.0 { margin } else { tolerance };
    let mut cells: Vec<Cell> = labels
        .map(|(label, own)| cell(label, margin(own)))
        .collect();
    for (index, column) in columns.iter().enumerate() {
        for counted in &column.groups {
            let place = known.iter().position(|group| *group == counted.group);
            let label = place.and_then(|place| assigned.get(place).copied().flatten());
            let workload = &counted.group.workload;
            // What is no backend for sure is told apart by its name, and not lumped together.
            let known = || {
                cells
                    .iter()
                    .skip(split.len())
                    .position(|cell| cell.name == *workload)
            };
            let place = label.or_else(|| known().map(|place| split.len() + place));
            let place = place.unwrap_or_else(|| {
                cells.push(cell(workload, tolerance));
                cells.len() - 1
            });
            cells[place].counts[index] += counted.observed();
        }
    }
    let mut nameless = cell("no pod by name", tolerance);
    let of = |column: &&Counted| column.unidentified() + unanswered(column);
    nameless.counts = columns.iter().map(of).collect();
    cells.push(nameless);
    cells
}

/// With what status, redirects and errors included.
fn statuses(claim: &Claim, columns: &[&Counted]) -> Vec<Cell> {
    let mut counts: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    for (index, column) in columns.iter().enumerate() {
        for (&code, &count) in &column.by_status {
            let own = counts.entry(code).or_insert_with(|| vec![0; columns.len()]);
            own[index] += count;
        }
    }
    let margin = claim.criterion.tolerance;
    let named = |(code, counts)| Cell {
        name: format!("status {}", status::name(code)),
        counts,
        margin,
    };
    let mut cells: Vec<Cell> = counts.into_iter().map(named).collect();
    cells.push(Cell {
        name: "no answer".to_owned(),
        counts: columns.iter().map(|column| unanswered(column)).collect(),
        margin,
    });
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::claim;
    use crate::tally::counted::GroupCounted;
    use crate::tally::latency::Latency;

    /// A side on which these workloads answered so often, with this status, and so many answers named nobody.
    fn side(answers: &[(&str, u64)], code: u16, nameless: u64) -> Side {
        let mut side = Side::default();
        for (workload, count) in answers {
            side.counted.groups.push(GroupCounted {
                group: Group::alone(workload),
                pods: [((*workload).to_owned(), *count)].into(),
                errors: 0,
                latency: Latency::default(),
            });
            *side.counted.by_status.entry(code).or_default() += count;
        }
        if nameless > 0 {
            side.counted.unidentified_by_status.insert(404, nameless);
            *side.counted.by_status.entry(404).or_default() += nameless;
        }
        side
    }

    fn verdict(before: Side, after: Side) -> (VerdictName, String) {
        let pair = judge(&claim("shop=70,next=30"), &[before, after]);
        (pair.verdict, pair.reasons[0].message.clone())
    }

    #[test]
    fn what_is_alike_passes_even_where_both_are_wrong() {
        for shares in [[5130, 2198], [3664, 3664]] {
            let both = || side(&[("shop", shares[0]), ("next", shares[1])], 200, 0);
            assert_eq!(verdict(both(), both()).0, VerdictName::Pass);
        }
        let few = || side(&[("shop", 70), ("next", 30)], 200, 0);
        assert_eq!(verdict(few(), few()).0, VerdictName::Inconclusive);
    }

    #[test]
    fn another_split_another_status_and_a_rule_that_is_lost_fail() {
        let before = || side(&[("shop", 5130), ("next", 2198)], 200, 0);
        let (name, message) = verdict(before(), side(&[("shop", 7100), ("next", 228)], 200, 0));
        assert_eq!(name, VerdictName::Fail);
        assert!(
            message.contains("next 29.995 % before, 3.111 % after"),
            "{message}"
        );
        let (name, message) = verdict(before(), side(&[("shop", 5130), ("next", 2198)], 302, 0));
        assert_eq!(name, VerdictName::Fail);
        assert!(
            message.contains("status 302 0 % before, 100 % after"),
            "{message}"
        );
        let (name, message) = verdict(before(), side(&[], 200, 7328));
        assert_eq!(name, VerdictName::Fail);
        assert!(message.contains("100 % after"), "{message}");
        let foreign = side(&[("shop", 5130), ("old", 2198)], 200, 0);
        assert_eq!(verdict(before(), foreign).0, VerdictName::Fail);
        // Names that say nothing of the split are held against each other all the same.
        let unknown = |one, other| side(&[("blue", one), ("green", other), ("red", 0)], 200, 0);
        assert_eq!(
            verdict(unknown(5130, 2198), unknown(5130, 2198)).0,
            VerdictName::Pass
        );
        let (name, message) = verdict(unknown(5130, 2198), unknown(2198, 5130));
        assert_eq!(name, VerdictName::Fail);
        assert!(
            message.contains("green 29.995 % before, 70.005 % after"),
            "{message}"
        );
    }

    #[test]
    fn a_side_that_changed_during_the_run_is_never_alike() {
        let part = |shop: u64, next: u64| side(&[("shop", shop), ("next", next)], 200, 0).counted;
        let whole = |parts: &[Counted]| {
            let mut side = Side::default();
            for part in parts {
                side.count(part);
            }
            side
        };
        let steady = || whole(&[641; 8].map(|shop| part(shop, 916 - shop)));
        assert_eq!(verdict(steady(), steady()).0, VerdictName::Pass);
        let turned =
            || whole(&[550, 550, 550, 550, 732, 732, 732, 732].map(|shop| part(shop, 916 - shop)));
        let (name, message) = verdict(steady(), turned());
        assert_eq!(name, VerdictName::Inconclusive);
        assert!(
            message.starts_with("after: it changed during the run"),
            "{message}"
        );
        assert_eq!(verdict(turned(), turned()).0, VerdictName::Inconclusive);
        // Another status in one part alone.
        let mut parts = [641; 8].map(|shop| part(shop, 916 - shop));
        parts[3].by_status = [(200, 816), (503, 100)].into();
        let (name, message) = verdict(whole(&parts), whole(&parts));
        assert_eq!(name, VerdictName::Inconclusive);
        assert!(message.starts_with("before: it changed"), "{message}");
    }

    #[test]
    fn what_names_nobody_or_answers_nothing_never_passes() {
        let some = || side(&[("shop", 5130), ("next", 2198)], 200, 200);
        let (name, message) = verdict(some(), some());
        assert_eq!(name, VerdictName::Inconclusive);
        assert!(message.contains("name no pod"), "{message}");
        let none = || side(&[], 200, 7000);
        assert_eq!(verdict(none(), none()).0, VerdictName::Error);
        assert_eq!(verdict(some(), Side::default()).0, VerdictName::Error);
        let mut short = some();
        short.counted.unidentified_by_status.clear();
        short.cut_short = Some(Ending::MaxDuration);
        assert_eq!(verdict(short.clone(), short).0, VerdictName::Inconclusive);
    }
}
