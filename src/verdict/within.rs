//! The split, and pods that share the requests of their backend equally: parts of one verdict, each judged by
//! the same rule.

use super::split::{self, Part};
use super::{Evidence, Judgement, Reason, Verdict};
use crate::claim::Claim;
use crate::identity::assignment::{Backend, Group};
use crate::measured::PartCounts;
use crate::tally::sequence::{NOBODY, code_of, group_of};

/// Judges the split and every backend's pods.
pub(super) fn decide(claim: &Claim, evidence: &Evidence) -> Judgement {
    let whole = split::decide(&claim.of_split(), evidence);
    let part = |backend: usize| {
        let own = claim.of_backend(backend)?;
        let evidence = evidence.of_backend(&whole.assignment.fixed, backend);
        let claim = own.naming(evidence.groups.iter()).into_owned();
        Some(Part {
            backend,
            judgement: split::decide(&claim, &evidence),
            claim,
        })
    };
    let parts: Vec<Part> = (0..claim.split.len()).filter_map(part).collect();
    let describe = |part: &Part| {
        let label = &claim.split.labels()[part.backend];
        let reasons = part
            .judgement
            .reasons
            .iter()
            .filter(|reason| is_own(reason));
        let reasons = reasons
            .map(|reason| Reason::new(reason.code, format!("within {label}: {}", reason.message)));
        (part.judgement.verdict, reasons.collect())
    };
    let mut reasons: Vec<(Verdict, Vec<Reason>)> = vec![(whole.verdict, whole.reasons)];
    reasons.extend(parts.iter().map(describe));
    // A FAIL comes first, then what stands against a PASS.
    reasons.sort_by_key(|&(verdict, _)| match verdict {
        Verdict::Fail => 0,
        Verdict::Inconclusive => 1,
        Verdict::Pass => 2,
    });
    Judgement {
        verdict: reasons
            .first()
            .map_or(whole.verdict, |&(verdict, _)| verdict),
        reasons: reasons
            .into_iter()
            .flat_map(|(_, reasons)| reasons)
            .collect(),
        parts,
        ..whole
    }
}

/// What is said of the whole run is not said again of its parts.
fn is_own(reason: &Reason) -> bool {
    !["cut_short", "unattributed"].contains(&reason.code)
}

impl Evidence {
    /// What `backend` answered, each of whose groups is a pod; any response without an identity may be its.
    fn of_backend(&self, assigned: &[Backend], backend: usize) -> Self {
        let kept: Vec<usize> = (0..self.groups.len())
            .filter(|&group| assigned.get(group).copied().flatten() == Some(backend))
            .collect();
        let only = |counts: &[u64]| -> Vec<u64> {
            let own = kept.iter().map(|&group| counts.get(group).copied());
            own.map(Option::unwrap_or_default).collect()
        };
        let parts = |parts: &[PartCounts]| -> Vec<PartCounts> {
            let part = |part: &PartCounts| PartCounts {
                index: part.index,
                observed: only(&part.observed),
            };
            parts.iter().map(part).collect()
        };
        let code = |&code: &u16| {
            let own = group_of(code).and_then(|group| kept.binary_search(&group).ok());
            own.map_or(NOBODY, code_of)
        };
        Self {
            groups: kept
                .iter()
                .map(|&group| Group::alone(&self.groups[group].owner))
                .collect(),
            observed: only(&self.observed),
            unattributed: self.unattributed,
            cut_short: self.cut_short.clone(),
            windows: self.windows.iter().map(|window| only(window)).collect(),
            sequence: self.sequence.iter().map(code).collect(),
            shards: parts(&self.shards),
            addresses: parts(&self.addresses),
            address_names: self.address_names.clone(),
            ordered_by: self.ordered_by,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::{Verdict, decide};
    use super::*;
    use crate::claim::Criterion;
    use crate::claim::tests::claim;
    use crate::claim::within::Within;
    use crate::identity::assignment::Mappings;
    use crate::split::Split;
    use crate::stats::judge::Judge;
    use crate::stats::monte_carlo::Sampler;

    /// Counts of pods, in the order of `app-v1-a`, `-b`, `-c` and `app-v2-a`, `-b`.
    fn judged(pods: [usize; 2], v1: &[u64], v2: &[u64]) -> Judgement {
        let claim = claim("v1=70,v2=30");
        let mappings = Mappings::parse(claim.split.labels(), &[])
            .unwrap()
            .of_single_pods();
        let within = Within {
            pods: pods.map(NonZeroUsize::new).to_vec(),
            names: Vec::new(),
            tolerance: 0.2,
        };
        let claim = claim.with_pods(within).unwrap();
        let ids = [
            "6f79ff6b8d-fmzvc",
            "6f79ff6b8d-x7k2p",
            "6f79ff6b8d-nnjmj",
            "6f79ff6b8d-9psrh",
        ];
        let named = |version: &str, counts: &[u64]| -> Vec<(Group, u64)> {
            let pods = ids.iter().zip(counts);
            pods.map(|(id, &count)| (mappings.group(&format!("app-{version}-{id}")), count))
                .collect()
        };
        let (groups, observed) = [named("v1", v1), named("v2", v2)]
            .concat()
            .into_iter()
            .unzip();
        decide(
            &claim,
            &Evidence {
                groups,
                observed,
                ..Evidence::default()
            },
        )
    }

    fn verdict_and_codes(judgement: &Judgement) -> (Verdict, Vec<&'static str>) {
        let codes = judgement.reasons.iter().map(|reason| reason.code);
        (judgement.verdict, codes.collect())
    }

    #[test]
    fn a_split_with_even_pods_passes_in_all_its_parts() {
        let judgement = judged([3, 1], &[1400, 1410, 1390], &[1800]);
        let codes = vec!["split_matches", "pods_even", "pods_even"];
        assert_eq!(verdict_and_codes(&judgement), (Verdict::Pass, codes));
        assert!(
            judgement.reasons[1]
                .message
                .starts_with("within v1: 3 pods share")
        );
    }

    #[test]
    fn one_part_that_is_off_fails_the_whole_and_is_told_first() {
        let uneven = judged([3, 1], &[1000, 1600, 1600], &[1800]);
        assert_eq!(uneven.verdict, Verdict::Fail);
        let first = &uneven.reasons[0];
        assert_eq!(first.code, "pods_uneven");
        assert!(
            first
                .message
                .starts_with("within v1: app-v1-6f79ff6b8d-fmzvc got 23.81 %"),
            "{first:?}"
        );
        let uniform = judged([3, 1], &[1500, 1500, 1500], &[1500]);
        assert_eq!(verdict_and_codes(&uniform).1[0], "split_off");
        let silent = judged([3, 2], &[1400, 1410, 1390], &[1800]);
        assert_eq!(verdict_and_codes(&silent).1[0], "pod_never_answered");
        let foreign = judged([3, 1], &[1400, 1410, 1390], &[900, 900]);
        assert_eq!(
            (foreign.verdict, foreign.reasons[0].code),
            (Verdict::Fail, "unexpected_pod")
        );
    }

    #[test]
    fn a_part_with_too_few_answers_holds_the_pass() {
        let few = judged([3, 4], &[1400, 1410, 1390], &[480, 440, 430, 450]);
        assert_eq!(verdict_and_codes(&few).0, Verdict::Inconclusive);
        assert!(
            few.reasons[0]
                .message
                .starts_with("within v2: equal shares fit"),
            "{:?}",
            few.reasons
        );
    }

    /// The shares of 1,000 seeded runs that pass and that fail, at the planned number of requests and α = 0.05, of
    /// three pods of v1 and two of v2 with these true shares.
    fn rates(truth: [f64; 5], seed: u64) -> (f64, f64) {
        let split: Split = "v1=70,v2=30".parse().unwrap();
        let criterion = Criterion::new(&split, 0.05, 0.1, Judge::Equivalence, 0.01).unwrap();
        let within = Within {
            pods: [3, 2].map(NonZeroUsize::new).to_vec(),
            names: Vec::new(),
            tolerance: 0.4,
        };
        let claim = Claim::new(split, criterion, 1).with_pods(within).unwrap();
        let n = claim.planned_requests().get();
        let group = |backend: usize, pod: usize| Group {
            owner: format!("app-{backend}-{pod}"),
            explicit: Some(backend),
            ..Group::alone(&format!("app-{backend}"))
        };
        let groups = vec![
            group(0, 0),
            group(0, 1),
            group(0, 2),
            group(1, 0),
            group(1, 1),
        ];
        let sampler = Sampler::new(&truth);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut pass, mut fail) = (0.0, 0.0);
        for _ in 0..1000 {
            let mut observed = vec![0; 5];
            sampler.draw(n, &mut random, &mut observed);
            let evidence = Evidence {
                groups: groups.clone(),
                observed,
                ..Evidence::default()
            };
            match decide(&claim, &evidence).verdict {
                Verdict::Pass => pass += 0.001,
                Verdict::Fail => fail += 0.001,
                Verdict::Inconclusive => {}
            }
        }
        (pass, fail)
    }

    #[test]
    fn both_error_rates_hold_over_all_parts() {
        let third = 0.7 / 3.0;
        // 4.5 standard errors of a rate of 0.05 are 0.031.
        let (pass, fail) = rates([third, third, third, 0.15, 0.15], 1);
        assert!(fail <= 0.081 && pass > 0.9, "{pass} {fail}");
        // Off by its tolerance: a pod of v1, a pod of v2, the split.
        let (hot, rest) = (1.4 * third, 0.8 * third);
        for truth in [
            [hot, rest, rest, 0.15, 0.15],
            [third, third, third, 0.21, 0.09],
            [0.8 / 3.0, 0.8 / 3.0, 0.8 / 3.0, 0.1, 0.1],
        ] {
            let (pass, _) = rates(truth, 2);
            assert!(pass <= 0.081, "{truth:?}: {pass}");
        }
    }
}
