//! Whether a run saw one split: over time, over its shards, over the addresses of its target.

use super::decision::{Judged, Method};
use super::evidence::{Doubtful, counts};
use super::reason::MOST_NAMED;
use super::{Evidence, OrderedBy, Reason, evenness};
use crate::claim::Claim;
use crate::format::{observed_shares, p_value};
use crate::identity::assignment::Backend;
use crate::measured::PartCounts;
use crate::stats::change_point::{ChangePoint, change_point};
use crate::stats::drift::{Drift, drift, drift_as_ended};
use crate::stats::goodness_of_fit::goodness_of_fit;
use crate::stats::homogeneity::{Homogeneity, homogeneity};
use crate::stats::silence::{Silence, silences};
use crate::stats::two_sample::largest_difference;

/// Whether a run saw one split, in each way in which it may not have; `None` where that cannot be told.
#[derive(Debug)]
pub(super) struct Steadiness {
    pub(super) change: Option<Change>,
    pub(super) shards: Option<Agreement>,
    pub(super) addresses: Option<Agreement>,
}

impl Steadiness {
    pub(super) fn of(
        claim: &Claim,
        evidence: &Evidence,
        backends: &[Backend],
        judged: &Judged,
    ) -> Self {
        Self {
            change: Change::of(claim, evidence, backends, judged),
            shards: Agreement::of(claim, backends, &evidence.shards),
            addresses: Agreement::of(claim, backends, &evidence.addresses),
        }
    }

    /// Whether a FAIL only says that pods came, went or restarted.
    pub(super) fn accounts_for_fail(
        &self,
        claim: &Claim,
        evidence: &Evidence,
        backends: &[Backend],
    ) -> bool {
        let change = self.change.as_ref();
        change.is_some_and(|change| change.accounts_for_fail(claim, evidence, backends))
    }

    /// That it did not: each way in which it did not, significantly at the promised error rate.
    pub(super) fn reasons(&self, claim: &Claim, evidence: &Evidence) -> Vec<Reason> {
        let refuted = |agreement: &&Agreement| agreement.is_refuted;
        let change = self.change.as_ref().filter(|change| change.is_significant);
        let shards = self.shards.as_ref().filter(refuted);
        let addresses = self.addresses.as_ref().filter(refuted);
        let found = [
            change.map(|change| drifted(claim, evidence, change)),
            shards.map(|agreement| shards_differ(claim, agreement)),
            addresses.map(|agreement| addresses_differ(claim, &evidence.address_names, agreement)),
        ];
        found.into_iter().flatten().collect()
    }
}

/// Whether the parts of a run saw one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// The tests.
    pub homogeneity: Homogeneity,
    /// Whether they saw different splits, significantly at the promised error rate.
    pub is_refuted: bool,
    /// The parts that differ from the others, and their shares by backend.
    pub differing: Vec<(u32, Vec<f64>)>,
    /// The shares of all others together; `None` where no majority agrees.
    pub others: Option<Vec<f64>>,
}

impl Agreement {
    /// Tests whether the parts saw one split; `None` where they could not differ.
    fn of(claim: &Claim, backends: &[Backend], parts: &[PartCounts]) -> Option<Self> {
        let Claim {
            split, criterion, ..
        } = claim;
        let row = |part: &PartCounts| {
            let counts = counts(split, &part.observed, 0, backends, Doubtful::Foreign);
            let mut row = counts.observed;
            row.push(counts.foreign);
            row
        };
        let rows: Vec<Vec<u64>> = parts.iter().map(row).collect();
        let homogeneity = homogeneity(&rows, criterion.alpha)?;
        let shares = |of: &dyn Fn(usize) -> bool| {
            let mut sums = vec![0; split.len()];
            for (_, row) in rows.iter().enumerate().filter(|&(place, _)| of(place)) {
                for (sum, count) in sums.iter_mut().zip(row) {
                    *sum += count;
                }
            }
            let total = sums.iter().sum::<u64>().max(1) as f64;
            sums.iter().map(|&sum| sum as f64 / total).collect()
        };
        let outliers = &homogeneity.outliers;
        let differing = outliers
            .iter()
            .map(|&place| (parts[place].index, shares(&|other| other == place)));
        let others = |place| !outliers.contains(&place);
        let has_others = (0..rows.len())
            .any(|place| others(place) && rows[place].iter().any(|&count| count > 0));
        Some(Self {
            is_refuted: homogeneity.p_value <= criterion.alpha,
            differing: differing.collect(),
            others: has_others.then(|| shares(&others)),
            homogeneity,
        })
    }
}

/// Whether and where the split changed during the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The tests.
    pub drift: Drift,
    /// The likeliest place; its index counts identified responses in dispatch order.
    pub point: Option<ChangePoint>,
    /// Backends that were left out for a while, by their place in the split; of pods that are to share equally those that
    /// came, went or restarted, by group.
    pub silences: Vec<Silence>,
    /// Whether the drift is significant at the promised error rate, or one of them was silent.
    pub is_significant: bool,
    /// The least difference between the shares of the first and the second half that is refuted at the promised error rate,
    /// for every backend; `None` where the answers do not stand in the order of their requests, or the run chose its end.
    pub refuted: Option<f64>,
}

impl Change {
    /// Tests whether the split changed. Connections that keep to a backend make waves of their own, which
    /// are no drift, nor do answers that come in bursts: then it cannot be told.
    fn of(
        claim: &Claim,
        evidence: &Evidence,
        backends: &[Backend],
        judged: &Judged,
    ) -> Option<Self> {
        let comes_in_bursts = judged.order.is_some_and(|order| order.is_short_range());
        if judged.method == Some(Method::FirstResponse) || comes_in_bursts {
            return None;
        }
        let windows = evidence.observed_windows(&claim.split, backends);
        let drift = match evidence.ordered_by {
            OrderedBy::Dispatch => drift(&windows),
            OrderedBy::End => drift_as_ended(&windows),
        }?;
        let alpha = claim.criterion.alpha;
        let is_of_pods = claim.split.is_of_pods();
        let silences = match evidence.ordered_by {
            OrderedBy::Dispatch if is_of_pods => {
                silences(&evidence.windows, judged.at_a_time(), alpha)
            }
            OrderedBy::Dispatch => silences(&windows, judged.at_a_time(), alpha),
            OrderedBy::End => Vec::new(),
        };
        let drifts = drift.p_value <= alpha;
        let is_significant = drifts || !silences.is_empty();
        let point = || change_point(&windows, &evidence.labels(backends));
        let has_halves = evidence.ordered_by == OrderedBy::Dispatch && evidence.standing.is_none();
        let refuted = || {
            let [first, second] = halves(&windows);
            largest_difference(&first, &second, judged.design_effect(), alpha)
        };
        Some(Self {
            refuted: has_halves.then(refuted),
            point: (drifts || is_of_pods && is_significant)
                .then(point)
                .flatten(),
            drift,
            silences,
            is_significant,
        })
    }

    /// Whether a FAIL rests on pods that came, went or restarted alone: the others are expected, and share equally.
    fn accounts_for_fail(&self, claim: &Claim, evidence: &Evidence, backends: &[Backend]) -> bool {
        let stayed =
            |&(group, _): &(usize, &u64)| self.silences.iter().all(|silence| silence.cell != group);
        let answered = evidence.observed.iter().enumerate();
        let steady: Vec<(usize, &u64)> = answered
            .filter(|&(_, &count)| count > 0)
            .filter(stayed)
            .collect();
        let is_expected =
            |&(group, _): &(usize, &u64)| backends.get(group).is_some_and(Option::is_some);
        if !claim.split.is_of_pods() || self.silences.is_empty() || !steady.iter().all(is_expected)
        {
            return false;
        }
        let counts: Vec<u64> = steady.iter().map(|&(_, &count)| count).collect();
        let equal = vec![1.0 / counts.len() as f64; counts.len()];
        let alpha = claim.criterion.alpha;
        let fit = goodness_of_fit(&counts, &equal, alpha, claim.seed);
        matches!(fit, Ok(fit) if fit.is_none_or(|fit| fit.p_value > alpha))
    }
}

/// The counts of both halves of a run, as near as its windows allow.
fn halves(windows: &[Vec<u64>]) -> [Vec<u64>; 2] {
    let cells = windows.first().map_or(0, Vec::len);
    let size = |window: &Vec<u64>| window.iter().sum::<u64>();
    let all: u64 = windows.iter().map(size).sum();
    let mut halves = [vec![0; cells], vec![0; cells]];
    let mut before = 0;
    for window in windows {
        // Where the middle of the window lies.
        let half = usize::from(2 * before + size(window) > all);
        before += size(window);
        for (sum, count) in halves[half].iter_mut().zip(window) {
            *sum += count;
        }
    }
    halves
}

/// That the split changed during the run, and where.
fn drifted(claim: &Claim, evidence: &Evidence, change: &Change) -> Reason {
    let Claim {
        split, criterion, ..
    } = claim;
    let alpha = criterion.alpha;
    if split.is_of_pods() {
        let message = if change.silences.is_empty() {
            evenness::changed(claim, change)
        } else {
            let names = evidence.groups.iter().map(|group| group.workload.as_str());
            let silent = silent(change, names, evidence, alpha);
            format!(
                "pods came, went or restarted during the run: {silent}; run again when they stay"
            )
        };
        return Reason::new("drift", message);
    }
    if change.drift.p_value > alpha {
        let names = split.labels().iter().map(String::as_str);
        let silent = silent(change, names, evidence, alpha);
        return Reason::new("drift", format!("the split changed: {silent}"));
    }
    let p = p_value(change.drift.p_value);
    let describe = |shares: &[f64]| observed_shares(split, shares);
    let message = match &change.point {
        Some(point) => format!(
            "the split changed at about request {}: {} before, {} after (p {p} ≤ {alpha})",
            point.index,
            describe(&point.before),
            describe(&point.after)
        ),
        None => format!("the split changed during the run (p {p} ≤ {alpha})"),
    };
    Reason::new("drift", message)
}

/// Who answered nothing for a while, and when; `names[j]` is that of cell `j`.
fn silent<'a>(
    change: &Change,
    names: impl Iterator<Item = &'a str>,
    evidence: &Evidence,
    alpha: f64,
) -> String {
    let names: Vec<&str> = names.collect();
    let mut silences: Vec<&Silence> = change.silences.iter().collect();
    silences.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    let n: u64 = evidence.windows.iter().flatten().sum();
    let describe = |&&Silence { cell, from, to, .. }: &&Silence| {
        let who = names.get(cell).copied().unwrap_or("one");
        match (from, to) {
            (0, to) => format!("{who} answered nothing before request {to}"),
            (from, to) if to == n => format!("{who} answered nothing after request {from}"),
            (from, to) => format!("{who} answered nothing from request {from} to {to}"),
        }
    };
    let shown = silences.iter().take(evenness::NAMED).map(describe);
    let more = match silences.len().saturating_sub(evenness::NAMED) {
        0 => String::new(),
        more => format!(", and so did {more} more"),
    };
    let p = silences.first().map_or(1.0, |silence| silence.p_value);
    format!(
        "{}{more} (by chance: p {} ≤ {alpha})",
        shown.collect::<Vec<String>>().join(", "),
        p_value(p)
    )
}

/// That some shards saw another split than the others, and which.
fn shards_differ(claim: &Claim, agreement: &Agreement) -> Reason {
    let name = |index| format!("shard {index}");
    Reason::new(
        "shards_differ",
        parts_differ("shards", name, claim, agreement),
    )
}

/// That some addresses of the target split otherwise than the others.
fn addresses_differ(claim: &Claim, names: &[String], agreement: &Agreement) -> Reason {
    let name = |index: u32| names.get(index as usize).cloned().unwrap_or_default();
    let message = parts_differ("addresses", name, claim, agreement);
    Reason::new("addresses_differ", message)
}

/// That some parts of a run saw another split than the others, and which.
pub(super) fn parts_differ(
    parts: &str,
    name: impl Fn(u32) -> String,
    claim: &Claim,
    agreement: &Agreement,
) -> String {
    let Claim {
        split, criterion, ..
    } = claim;
    let describe = |shares: &[f64]| {
        if split.is_of_pods() {
            evenness::shares_text(split, shares)
        } else {
            observed_shares(split, shares)
        }
    };
    let differing = &agreement.differing;
    let named: Vec<String> = differing
        .iter()
        .take(MOST_NAMED)
        .map(|&(index, ref shares)| format!("{} saw {}", name(index), describe(shares)))
        .collect();
    let more = match differing.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more differ"),
    };
    let others = agreement.others.as_ref().map_or(String::new(), |shares| {
        format!("; the others saw {}", describe(shares))
    });
    let question = if split.is_of_pods() {
        "does each lead to pods of its own: those of its zone or node, or another list of pods?"
    } else {
        "does every replica of the ingress have the same weights?"
    };
    format!(
        "the {parts} saw different splits: {}{more}{others} (p {} ≤ {}); {question}",
        named.join("; "),
        p_value(agreement.homogeneity.p_value),
        criterion.alpha
    )
}
