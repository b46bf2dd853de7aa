//! Whether the split is the expected one: PASS, FAIL or INCONCLUSIVE, with reasons.
//!
//! [`decide`] is a pure function of the claim and the counts; it does not know where the counts come from.

use std::cmp::Ordering;

use super::decision::{Cause, Counts, Judged};
use super::evidence::Doubtful;
use super::steadiness::Steadiness;
use super::{Agreement, Change, Evidence, Reason, Verdict, reason};
use crate::claim::Claim;
use crate::identity::assignment::{Assignment, Backend, assign};

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

/// At most so many assignments of workloads to backends are tried; with more, the responses of the
/// workloads in doubt count as unattributed, which bounds the verdict no less.
const MAX_POSSIBILITIES: usize = 4096;
/// The same where each takes a permutation test.
const MAX_CLUSTERED_POSSIBILITIES: usize = 16;

/// Judges the split alone: the verdict must hold for every assignment of the workloads that is possible.
pub fn decide(claim: &Claim, evidence: &Evidence) -> Judgement {
    let Claim { split, .. } = claim;
    let assignment = assign(split, &evidence.groups);
    let every = judge_every(claim, evidence, &assignment);
    let holds_for_all = every
        .iter()
        .all(|(_, judged)| judged.verdict == every[0].1.verdict);
    let (backends, judged) = every
        .into_iter()
        .max_by(|(_, a), (_, b)| by_favour(a, b))
        .expect("there is at least one way to assign the workloads");
    let steadiness = Steadiness::of(claim, evidence, &backends, &judged);
    let unsteady = steadiness.reasons(claim, evidence);
    let cannot_fail = !matches!(judged.cause, Cause::NeverAnswered(_))
        && steadiness.accounts_for_fail(claim, evidence, &backends);
    let verdict = match judged.verdict {
        Verdict::Fail if cannot_fail => Verdict::Inconclusive,
        Verdict::Pass if evidence.cut_short.is_some() || !unsteady.is_empty() => {
            Verdict::Inconclusive
        }
        verdict if holds_for_all => verdict,
        _ => Verdict::Inconclusive,
    };
    let mut reasons = reason::reasons(claim, evidence, &judged, verdict);
    if judged.verdict == Verdict::Fail && cannot_fail {
        // Told of the pods that stayed, it would be wrong.
        reasons.retain(|reason| !["pods_uneven", "unexpected_backend"].contains(&reason.code));
    }
    // A change says more than that answers are alike because of it.
    let comes_first =
        judged.verdict == Verdict::Pass || judged.cause == Cause::Clumped || split.is_of_pods();
    for reason in unsteady {
        let place = if comes_first { 0 } else { reasons.len() };
        reasons.insert(place, reason);
    }
    for reason in &mut reasons {
        if reason.code == "unexpected_backend" {
            *reason = reason::foreign(claim, evidence, &backends);
        }
    }
    if !assignment.ambiguous.is_empty() {
        // What one way to assign the workloads shows is no reason where another shows something else.
        reasons.retain(|reason| holds_for_all || !reason::is_of_an_assignment(reason));
        let place = if holds_for_all { reasons.len() } else { 0 };
        reasons.insert(place, reason::doubtful_assignment(evidence, &assignment));
    }
    Judgement {
        verdict,
        reasons,
        judged,
        change: steadiness.change,
        seen: evidence.seen(split, &assignment.fixed),
        windows: evidence.windows_by_backend(split, &assignment.fixed),
        assignment,
        agreement: steadiness.shards,
        address_agreement: steadiness.addresses,
        parts: Vec::new(),
    }
}

/// What each assignment that is possible makes of the counts: at least one.
fn judge_every(
    claim: &Claim,
    evidence: &Evidence,
    assignment: &Assignment,
) -> Vec<(Vec<Backend>, Judged)> {
    let most = match evidence.connections {
        Some(_) => MAX_CLUSTERED_POSSIBILITIES,
        None => MAX_POSSIBILITIES,
    };
    let judge = |backends: Vec<Backend>, others| {
        let judged = evidence.judge(claim, &backends, others);
        (backends, judged)
    };
    match assignment.possibilities(most) {
        Some(possible) => possible
            .map(|backends| judge(backends, Doubtful::Foreign))
            .collect(),
        None => vec![judge(assignment.fixed.clone(), Doubtful::Unattributed)],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Criterion;
    use crate::claim::tests::claim;
    use crate::identity::assignment::Mappings;
    use crate::split::Split;
    use crate::stats::expected::Expected;
    use crate::stats::judge::Judge;
    use crate::stats::order::Order;
    use crate::stats::sequential::Look;
    use crate::tally::monitor::{Standing, standing_at};

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
        let claim = claim("v1=70,v2=30");
        let mappings = Mappings::parse(claim.split.labels(), &[]).unwrap();
        let evidence = Evidence {
            groups: vec![mappings.group("v1"), mappings.group("v2")],
            observed: vec![2520, 1080],
            cut_short: Some("interrupted".to_owned()),
            ..Evidence::default()
        };
        let judgement = decide(&claim, &evidence);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judgement.reasons[0].code, "cut_short");
    }

    /// 2,000 requests of which the first backend got `first`, stopped at the cap with this order.
    fn at_the_cap(first: u64, order: Order) -> Judgement {
        let split: Split = "v1=70,v2=30".parse().unwrap();
        let criterion = Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01).unwrap();
        let mappings = Mappings::parse(split.labels(), &[]).unwrap();
        let claim = Claim::new(split, criterion, 1);
        let observed = vec![first, 2000 - first];
        let standing = Standing {
            look: Look::Inconclusive,
            order: Some(order),
            ..standing_at(&claim, &observed, 0)
        };
        let evidence = Evidence {
            groups: vec![mappings.group("v1"), mappings.group("v2")],
            observed,
            standing: Some(standing),
            ..Evidence::default()
        };
        decide(&claim, &evidence)
    }

    #[test]
    fn a_run_that_its_order_keeps_from_a_fail_is_not_called_off() {
        let turns: Vec<u16> = (0..2000)
            .map(|place| u16::from(place % 1000 >= 700))
            .collect();
        let windows: Vec<Vec<u64>> = turns
            .chunks(16)
            .map(|block| {
                let second = block.iter().filter(|&&label| label == 1).count() as u64;
                vec![block.len() as u64 - second, second]
            })
            .collect();
        let expected = Expected {
            shares: &[0.7, 0.3],
            tolerance: 0.05,
            alpha: 0.001,
        };
        let order = Order::new(&windows, &turns, 0, &expected).unwrap();
        // What a look asks for is less than what one test would.
        let order = Order {
            fit_p_value: 0.0005,
            ..order
        };
        let judgement = at_the_cap(1700, order);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.judged.p_value <= 0.001);
        assert!(judgement.judged.standing_p_value() > 0.001);
    }

    /// A 70/30 in turn, where one of the backends got nothing between two requests.
    fn left_out(backend: usize, silent: std::ops::Range<u64>) -> Judgement {
        let split: Split = "v1=70,v2=30".parse().unwrap();
        let criterion = Criterion::new(&split, 0.001, 0.05, Judge::Equivalence, 0.01).unwrap();
        let mappings = Mappings::parse(split.labels(), &[]).unwrap();
        let mut windows = vec![vec![0; 2]; 229];
        let mut observed = vec![0; 2];
        for request in 0..3664 {
            let dealt = usize::from(7 * request % 10 >= 7);
            let answered = if silent.contains(&request) {
                1 - backend
            } else {
                dealt
            };
            windows[usize::try_from(request / 16).unwrap()][answered] += 1;
            observed[answered] += 1;
        }
        let evidence = Evidence {
            groups: vec![mappings.group("v1"), mappings.group("v2")],
            observed,
            windows,
            ..Evidence::default()
        };
        decide(&Claim::new(split, criterion, 1), &evidence)
    }

    #[test]
    fn a_backend_that_is_left_out_for_a_while_keeps_a_right_split_from_a_pass() {
        assert_eq!(left_out(0, 0..0).verdict, Verdict::Pass);
        for (backend, silent, told) in [
            (
                1,
                2000..2096,
                "v2 answered nothing from request 2000 to 2096",
            ),
            (
                0,
                1600..1648,
                "v1 answered nothing from request 1600 to 1648",
            ),
            (1, 0..64, "v2 answered nothing before request 64"),
        ] {
            let judgement = left_out(backend, silent);
            let message = &judgement.reasons[0].message;
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{message}");
            assert_eq!(judgement.reasons[0].code, "drift");
            assert!(message.contains(told), "{message}");
        }
    }
}
