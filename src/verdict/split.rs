//! Whether the split is the expected one: PASS, FAIL or INCONCLUSIVE, with reasons.
//!
//! [`decide`] is a pure function of the claim and the counts; it does not know where the counts come from.

use std::cmp::Ordering;

use super::decision::{
    Cause, Clusters, Counts, Judged, Method, Shared, judge_clustered, judge_sequential,
};
use super::order::under_order;
use super::{Reason, Verdict, decision, reason, unmeasured};
use crate::claim::Claim;
use crate::identity::assignment::{Assignment, Backend, Group, assign};
use crate::measured::{Measured, PartCounts};
use crate::split::Split;
use crate::stats::change_point::{ChangePoint, change_point};
use crate::stats::drift::{Drift, drift, drift_as_ended};
use crate::stats::homogeneity::{Homogeneity, homogeneity};
use crate::tally::connections::Connections;
use crate::tally::monitor::Standing;
use crate::tally::sequence::group_of;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The groups of pods that answered.
    pub groups: Vec<Group>,
    /// Identified responses; `observed[g]` belongs to `groups[g]`.
    pub observed: Vec<u64>,
    /// Requests that were written and got no identity.
    pub unattributed: u64,
    /// Why fewer requests were attributed than planned, as the end of a sentence; `None` when enough were.
    pub cut_short: Option<String>,
    /// The connections, where they could carry several requests, or the clients of a log; cells are groups.
    pub connections: Option<Connections>,
    /// Which of the two.
    pub shared_by: Shared,
    /// Responses by group over blocks of the order: `windows[b][g]`, missing entries 0.
    pub windows: Vec<Vec<u64>>,
    /// Which order that is.
    pub ordered_by: OrderedBy,
    /// The groups of the first responses, in dispatch order; see [`group_of`].
    pub sequence: Vec<u16>,
    /// Where a sequential run stopped; its counts are judged instead of `observed`.
    pub standing: Option<Standing>,
    /// What each shard saw, of a run that several shared; empty for others.
    pub shards: Vec<PartCounts>,
    /// What each address of the target answered, where connections carried one request each.
    pub addresses: Vec<PartCounts>,
    /// Their names.
    pub address_names: Vec<String>,
}

/// What the order of responses is that of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderedBy {
    /// Their requests.
    #[default]
    Dispatch,
    /// Themselves, as in a log: it clumps where backends differ in speed, and says nothing of bursts.
    End,
}

/// A verdict, its reasons, and what they rest on.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What follows.
    pub verdict: Verdict,
    /// Why, the most important reason first.
    pub reasons: Vec<Reason>,
    /// The tests, under the assignment that fits the expected split best.
    pub judged: Judged,
    /// Which workload was taken for which backend.
    pub assignment: Assignment,
    /// Whether the split changed during the run, and where; `None` where it cannot be told.
    pub change: Option<Change>,
    /// What was counted, for every workload as what it is known to be: one in doubt counts as foreign.
    pub seen: Counts,
    /// The same over blocks of the dispatch order.
    pub windows: Vec<Counts>,
    /// Whether the shards of the run saw one split; `None` where it had none.
    pub agreement: Option<Agreement>,
    /// Whether the addresses of the target split alike; `None` where that cannot be told.
    pub address_agreement: Option<Agreement>,
    /// What follows for the pods of backends; empty where nothing is asserted of them.
    pub parts: Vec<Part>,
}

/// What follows for the pods of one backend.
#[derive(Debug, Clone)]
pub struct Part {
    /// The backend, an index into the split.
    pub backend: usize,
    /// What is asserted of its pods, called as they answered.
    pub claim: Claim,
    /// What follows of their counts.
    pub judgement: Judgement,
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
    pub(super) fn of(claim: &Claim, backends: &[Backend], parts: &[PartCounts]) -> Option<Self> {
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
    /// Whether the drift is significant at the promised error rate.
    pub is_significant: bool,
}

/// At most so many assignments of workloads to backends are tried; with more, the responses of the
/// workloads in doubt count as unattributed, which bounds the verdict no less.
const MAX_POSSIBILITIES: usize = 4096;
/// The same where each takes a permutation test.
const MAX_CLUSTERED_POSSIBILITIES: usize = 16;

/// Judges the split alone: the verdict must hold for every assignment of the workloads that is possible.
#[must_use]
pub fn decide(claim: &Claim, evidence: &Evidence) -> Judgement {
    let Claim { split, .. } = claim;
    let assignment = assign(split, &evidence.groups);
    let judge = |backends: &[Backend], others| evidence.judge(claim, backends, others);
    let most = match evidence.connections {
        Some(_) => MAX_CLUSTERED_POSSIBILITIES,
        None => MAX_POSSIBILITIES,
    };
    let every: Vec<(Vec<Backend>, Judged)> = if let Some(possible) = assignment.possibilities(most)
    {
        possible
            .map(|backends| {
                let judged = judge(&backends, Doubtful::Foreign);
                (backends, judged)
            })
            .collect()
    } else {
        let backends = assignment.fixed.clone();
        let judged = judge(&backends, Doubtful::Unattributed);
        vec![(backends, judged)]
    };
    let holds_for_all = every
        .iter()
        .all(|(_, judged)| judged.verdict == every[0].1.verdict);
    let (backends, judged) = every
        .into_iter()
        .max_by(|(_, a), (_, b)| by_favour(a, b))
        .expect("there is at least one way to assign the workloads");
    let observed = evidence.observed_windows(split, &backends);
    let change = evidence.change(claim, &backends, &judged, &observed);
    let drifted = change.as_ref().is_some_and(|change| change.is_significant);
    let agreement = Agreement::of(claim, &backends, &evidence.shards);
    let refuted = |agreement: &&Agreement| agreement.is_refuted;
    let disagree = agreement.as_ref().filter(refuted);
    let address_agreement = Agreement::of(claim, &backends, &evidence.addresses);
    let addresses_differ = address_agreement.as_ref().filter(refuted);
    let is_doubtful = !assignment.ambiguous.is_empty();
    let verdict = match judged.verdict {
        Verdict::Pass
            if evidence.cut_short.is_some()
                || drifted
                || disagree.is_some()
                || addresses_differ.is_some() =>
        {
            Verdict::Inconclusive
        }
        verdict if holds_for_all => verdict,
        _ => Verdict::Inconclusive,
    };
    let mut reasons = reason::reasons(claim, evidence, &judged, verdict);
    let change_is_told = change.as_ref().filter(|change| change.is_significant);
    let unsteady = [
        change_is_told.map(|change| reason::drifted(claim, change)),
        disagree.map(|agreement| reason::shards_differ(claim, agreement)),
        addresses_differ
            .map(|agreement| reason::addresses_differ(claim, &evidence.address_names, agreement)),
    ];
    for reason in unsteady.into_iter().flatten() {
        // A change says more than that answers are alike because of it.
        let comes_first =
            judged.verdict == Verdict::Pass || judged.cause == Cause::Clumped || split.is_of_pods();
        let place = if comes_first { 0 } else { reasons.len() };
        reasons.insert(place, reason);
    }
    for reason in &mut reasons {
        if reason.code == "unexpected_backend" {
            *reason = reason::foreign(claim, evidence, &backends);
        }
    }
    if is_doubtful {
        // What one way to assign the workloads shows is no reason where another shows something else.
        reasons.retain(|reason| holds_for_all || !reason::is_of_an_assignment(reason));
        let place = if holds_for_all { reasons.len() } else { 0 };
        reasons.insert(place, reason::doubtful_assignment(evidence, &assignment));
    }
    Judgement {
        verdict,
        reasons,
        judged,
        change,
        seen: evidence.seen(split, &assignment.fixed),
        windows: evidence.windows_by_backend(split, &assignment.fixed),
        assignment,
        agreement,
        address_agreement,
        parts: Vec::new(),
    }
}

/// Orders assignments by how well they suit the expected split: by verdict, then those that take every
/// workload for some backend, then by p-value.
fn by_favour(a: &Judged, b: &Judged) -> Ordering {
    let verdict = |judged: &Judged| match judged.verdict {
        Verdict::Fail => 0,
        Verdict::Inconclusive => 1,
        Verdict::Pass => 2,
    };
    let is_known = |judged: &Judged| judged.counts.foreign == 0;
    (verdict(a), is_known(a))
        .cmp(&(verdict(b), is_known(b)))
        .then(a.log10_p_value.total_cmp(&b.log10_p_value))
}

/// What the responses of a group count as that is no backend of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubtful {
    Foreign,
    Unattributed,
}

impl Evidence {
    /// What a run counted, as far as it matters for the split.
    pub(super) fn of(measured: &Measured) -> Self {
        let counted = &measured.counted;
        let groups = counted.groups.iter();
        let blocks = counted.windows.blocks().iter();
        Self {
            groups: groups.map(|counted| counted.group.clone()).collect(),
            observed: counted.observed(),
            unattributed: counted.unattributed(),
            cut_short: unmeasured::cut_short(measured),
            connections: (!measured.trial.connection_use.is_fresh())
                .then(|| counted.connections.clone()),
            shared_by: Shared::Connection,
            windows: blocks.map(|block| block.counts.clone()).collect(),
            ordered_by: OrderedBy::Dispatch,
            sequence: counted.sequence.clone(),
            standing: measured.standing.clone(),
            shards: measured.parts.clone(),
            addresses: by_address(measured),
            address_names: measured.addresses.iter().map(ToString::to_string).collect(),
        }
    }

    fn judge(&self, claim: &Claim, backends: &[Backend], others: Doubtful) -> Judged {
        let Claim { split, .. } = claim;
        let total = counts(split, &self.observed, self.unattributed, backends, others);
        if let Some(standing) = &self.standing {
            let (observed, missing) = (&standing.observed, standing.unattributed);
            let looked_at = counts(split, observed, missing, backends, others);
            let judged = judge_sequential(claim, looked_at, &total, standing);
            return match standing.order {
                Some(_) => judged,
                None => self.under_order(claim, judged, backends),
            };
        }
        match &self.connections {
            Some(connections) => {
                let windows = self.observed_windows(split, backends);
                let clusters = Clusters {
                    shared_by: self.shared_by,
                    ..clusters(split, connections, backends, windows)
                };
                let judged = judge_clustered(claim, total, &clusters);
                match judged.method {
                    Some(Method::FirstResponse) => judged,
                    _ => self.under_order(claim, judged, backends),
                }
            }
            None => self.under_order(claim, decision::judge(claim, total), backends),
        }
    }

    fn under_order(&self, claim: &Claim, judged: Judged, backends: &[Backend]) -> Judged {
        if self.ordered_by == OrderedBy::End {
            return judged;
        }
        let windows = self.observed_windows(&claim.split, backends);
        under_order(claim, judged, &windows, || self.labels(backends))
    }

    /// The backends of the first identified responses, in dispatch order; `u16::MAX` stands for none.
    pub(super) fn labels(&self, backends: &[Backend]) -> Vec<u16> {
        let label = |group: usize| {
            let backend = backends.get(group).copied().flatten();
            backend.map_or(u16::MAX, |backend| {
                u16::try_from(backend).unwrap_or(u16::MAX)
            })
        };
        let groups = self.sequence.iter().copied().filter_map(group_of);
        groups.map(label).collect()
    }

    /// The counts that are judged, by backend.
    fn seen(&self, split: &Split, backends: &[Backend]) -> Counts {
        let (observed, missing) = match &self.standing {
            Some(standing) => (&standing.observed, standing.unattributed),
            None => (&self.observed, self.unattributed),
        };
        counts(split, observed, missing, backends, Doubtful::Foreign)
    }

    fn windows_by_backend(&self, split: &Split, backends: &[Backend]) -> Vec<Counts> {
        let row = |by_group: &Vec<u64>| counts(split, by_group, 0, backends, Doubtful::Foreign);
        self.windows.iter().map(row).collect()
    }

    /// The responses of the backends alone, in each block of the dispatch order.
    fn observed_windows(&self, split: &Split, backends: &[Backend]) -> Vec<Vec<u64>> {
        let windows = self.windows_by_backend(split, backends).into_iter();
        windows.map(|window| window.observed).collect()
    }

    /// Tests whether the split changed. Connections that keep to a backend make waves of their own, which
    /// are no drift, nor do answers that come in bursts: then it cannot be told.
    fn change(
        &self,
        claim: &Claim,
        backends: &[Backend],
        judged: &Judged,
        windows: &[Vec<u64>],
    ) -> Option<Change> {
        let comes_in_bursts = judged.order.is_some_and(|order| order.is_short_range());
        if judged.method == Some(Method::FirstResponse) || comes_in_bursts {
            return None;
        }
        let drift = match self.ordered_by {
            OrderedBy::Dispatch => drift(windows),
            OrderedBy::End => drift_as_ended(windows),
        }?;
        let is_significant = drift.p_value <= claim.criterion.alpha;
        let point = || change_point(windows, &self.labels(backends));
        Some(Change {
            point: is_significant.then(point).flatten(),
            drift,
            is_significant,
        })
    }
}

/// The counts by backend where group `g` is backend `backends[g]`.
/// What each address answered. Of connections that carry several requests the responses are not independent:
/// then it cannot be told whether addresses differ.
fn by_address(measured: &Measured) -> Vec<PartCounts> {
    if !measured.trial.connection_use.is_fresh() {
        return Vec::new();
    }
    let addresses = (0..).zip(&measured.addresses);
    addresses
        .map(|(index, _)| PartCounts {
            index,
            observed: measured.by_address.get(index as usize).observed,
        })
        .collect()
}

fn counts(
    split: &Split,
    observed: &[u64],
    unattributed: u64,
    backends: &[Backend],
    others: Doubtful,
) -> Counts {
    let mut counts = Counts {
        observed: vec![0; split.len()],
        foreign: 0,
        unattributed,
    };
    for (backend, &observed) in backends.iter().zip(observed) {
        match (backend, others) {
            (Some(backend), _) => counts.observed[*backend] += observed,
            (None, Doubtful::Foreign) => counts.foreign += observed,
            (None, Doubtful::Unattributed) => counts.unattributed += observed,
        }
    }
    counts
}

/// The connections by backend; a further cell stands for groups that are no backend of the split.
fn clusters(
    split: &Split,
    connections: &Connections,
    backends: &[Backend],
    windows: Vec<Vec<u64>>,
) -> Clusters {
    let cells = split.len() + 1;
    let cell_of: Vec<usize> = (0..connections.sums().observed().len().max(backends.len()))
        .map(|group| {
            backends
                .get(group)
                .copied()
                .flatten()
                .unwrap_or(split.len())
        })
        .collect();
    let mut sample = vec![0; cells * connections.sample().len()];
    for (row, by_group) in sample.chunks_exact_mut(cells).zip(connections.sample()) {
        for (&cell, &count) in cell_of.iter().zip(by_group) {
            row[cell] += count;
        }
    }
    Clusters {
        sums: connections.sums().pool(&cell_of, cells),
        sample,
        windows,
        shared_by: Shared::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Criterion;
    use crate::identity::assignment::Mappings;
    use crate::split::Split;
    use crate::stats::judge::Judge;

    fn decided(expect: &str, pods: &[(&str, u64)], unattributed: u64, judge: Judge) -> Judgement {
        let split: Split = expect.parse().unwrap();
        let mappings = Mappings::parse(split.labels(), &[]).unwrap();
        let criterion = Criterion::new(&split, 0.001, 0.05, judge, 0.02).unwrap();
        let evidence = Evidence {
            groups: pods.iter().map(|(pod, _)| mappings.group(pod)).collect(),
            observed: pods.iter().map(|&(_, observed)| observed).collect(),
            unattributed,
            ..Evidence::default()
        };
        decide(&Claim::new(split, criterion, 1), &evidence)
    }

    fn verdict(pods: &[(&str, u64)], unattributed: u64) -> (Verdict, &'static str) {
        let judgement = decided("v1=70,v2=30", pods, unattributed, Judge::Equivalence);
        (judgement.verdict, judgement.reasons[0].code)
    }

    #[test]
    fn counts_that_fit_pass_and_counts_that_do_not_fail() {
        assert_eq!(
            verdict(&[("v1", 700), ("v2", 300)], 0),
            (Verdict::Pass, "split_matches")
        );
        assert_eq!(
            verdict(&[("v1", 600), ("v2", 400)], 0),
            (Verdict::Fail, "split_off")
        );
        assert_eq!(
            verdict(&[("v1", 2610), ("v2", 990)], 0),
            (Verdict::Fail, "split_off")
        );
        assert_eq!(
            verdict(&[("v1", 69), ("v2", 30)], 0),
            (Verdict::Inconclusive, "too_few_requests")
        );
    }

    #[test]
    fn responses_without_identity_are_never_dropped() {
        assert_eq!(verdict(&[("v1", 600), ("v2", 380)], 20).0, Verdict::Fail);
        assert_eq!(
            verdict(&[("v1", 690), ("v2", 290)], 20).0,
            Verdict::Inconclusive
        );
        assert_eq!(verdict(&[("v1", 2484), ("v2", 1080)], 36).0, Verdict::Pass);
    }

    #[test]
    fn a_silent_backend_fails_whatever_the_missing_answers_could_have_been() {
        assert_eq!(
            verdict(&[("v1", 700)], 300),
            (Verdict::Fail, "backend_never_answered")
        );
        let few = verdict(&[("v1", 7)], 3);
        assert_eq!(few.0, Verdict::Inconclusive);
    }

    #[test]
    fn a_hit_on_a_backend_of_weight_zero_fails() {
        let judgement = decided(
            "v1=100,v2=0",
            &[("v1", 9999), ("v2", 1)],
            0,
            Judge::Equivalence,
        );
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert_eq!(judgement.reasons[0].code, "zero_weight_hit");
        let clean = decided("v1=100,v2=0", &[("v1", 9999)], 0, Judge::Equivalence);
        assert_eq!(clean.verdict, Verdict::Pass);
        assert!(
            clean.reasons[0].message.contains("leak"),
            "{:?}",
            clean.reasons
        );
    }

    #[test]
    fn a_workload_in_doubt_makes_a_pass_inconclusive_and_leaves_a_certain_fail() {
        let pods = [("web-6f79ff6b8d-fmzvc", 700), ("api-6b8464cddd-nnjmj", 300)];
        let (verdict_in_doubt, code) = verdict(&pods, 0);
        assert_eq!(
            (verdict_in_doubt, code),
            (Verdict::Inconclusive, "ambiguous_assignment")
        );
        let pods = [("web-6f79ff6b8d-fmzvc", 500), ("api-6b8464cddd-nnjmj", 500)];
        assert_eq!(verdict(&pods, 0).0, Verdict::Fail);
    }

    #[test]
    fn a_silent_backend_is_named_though_the_one_workload_could_be_any() {
        let judgement = decided(
            "v1=70,v2=30",
            &[("challenge-app-6f79ff6b8d-fmzvc", 2000)],
            900,
            Judge::Equivalence,
        );
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert_eq!(judgement.reasons[0].code, "backend_never_answered");
        assert!(judgement.reasons[0].message.starts_with("v2 never"));
    }

    #[test]
    fn the_three_judges_differ_on_a_small_sample_and_on_a_proven_small_shift() {
        let small = [("v1", 69), ("v2", 30)];
        assert_eq!(
            decided("v1=70,v2=30", &small, 0, Judge::Significance).verdict,
            Verdict::Pass
        );
        let shifted = [("v1", 71_000), ("v2", 29_000)];
        assert_eq!(
            decided("v1=70,v2=30", &shifted, 0, Judge::Equivalence).verdict,
            Verdict::Fail
        );
        assert_eq!(
            decided("v1=70,v2=30", &shifted, 0, Judge::Tolerance).verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn nothing_attributed_is_no_verdict() {
        assert_eq!(
            verdict(&[], 0),
            (Verdict::Inconclusive, "nothing_attributed")
        );
        assert_eq!(
            verdict(&[], 100),
            (Verdict::Inconclusive, "nothing_attributed")
        );
    }

    #[test]
    fn a_run_cut_short_never_passes() {
        let split: Split = "v1=70,v2=30".parse().unwrap();
        let criterion = Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01).unwrap();
        let mappings = Mappings::parse(split.labels(), &[]).unwrap();
        let evidence = Evidence {
            groups: vec![mappings.group("v1"), mappings.group("v2")],
            observed: vec![2520, 1080],
            cut_short: Some("interrupted".to_owned()),
            ..Evidence::default()
        };
        let judgement = decide(&Claim::new(split, criterion, 1), &evidence);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judgement.reasons[0].code, "cut_short");
    }
}
