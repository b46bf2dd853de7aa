//! The verdict on two ingresses that are asked the same.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use lbtest::parts::{
    Counted, Group, GroupCounted, Latency, PAIR_PARTS as PARTS, Sampler, Side, VerdictName,
    judge_pair as judge, planned,
};

use super::row::{Row, standard_error};
use super::{ALPHA, Effort, Expectation, seed_of, written};

/// Each verdict on two ingresses of which one splits as expected and the other by `truth`, at the planned number of
/// requests and at half of it, by the code that decides.
pub(crate) fn errors(expectation: &Expectation, effort: Effort) -> Vec<Row> {
    let shares = expectation.shares();
    let mut truths = expectation.shifted();
    truths.insert(0, shares.to_vec());
    let n = planned(&expectation.claim).get();
    let mut rows = Vec::new();
    for n in [n, n / 2] {
        for truth in &truths {
            rows.extend(cell(expectation, truth, n, effort.few));
        }
    }
    rows
}

fn cell(expectation: &Expectation, truth: &[f64], n: u64, runs: u64) -> Vec<Row> {
    let shares = expectation.shares();
    let is_alike = truth == shares;
    let (split, truth_told) = (written(shares), written(truth));
    let mut random = ChaCha8Rng::seed_from_u64(seed_of(&format!("two {split} {truth_told} {n}")));
    let mut counts = [0_u64; 3];
    for _ in 0..runs {
        let sides = [shares, truth].map(|truth| side(expectation, truth, n, &mut random));
        let verdict = judge(&expectation.claim, &sides).verdict;
        counts[match verdict {
            VerdictName::Pass => 0,
            VerdictName::Fail => 1,
            VerdictName::Inconclusive | VerdictName::Error | VerdictName::Measured => 2,
        }] += 1;
    }
    let outcomes = ["pass", "fail", "inconclusive"].into_iter().zip(counts);
    let rows = outcomes.map(|(outcome, count)| {
        let value = count as f64 / runs as f64;
        let is_error = outcome == if is_alike { "fail" } else { "pass" };
        Row {
            part: "two",
            split: split.clone(),
            requests: n,
            setting: String::new(),
            truth: truth_told.clone(),
            method: "lbtest",
            outcome,
            value,
            standard_error: Some(standard_error(value, runs)),
            runs: Some(runs),
            bound: is_error.then_some(ALPHA),
        }
    });
    rows.collect()
}

/// What one side answers to `n` requests, in its parts, all with status 200.
fn side(expectation: &Expectation, truth: &[f64], n: u64, random: &mut ChaCha8Rng) -> Side {
    let sampler = Sampler::new(truth);
    let mut side = Side::default();
    for _ in 0..PARTS {
        let part = n.div_ceil(PARTS);
        let mut counts = vec![0; truth.len()];
        sampler.draw(part, random, &mut counts);
        let labels = expectation.claim.split.labels().iter();
        let groups = labels.zip(counts).map(|(label, count)| GroupCounted {
            group: Group::alone(label),
            pods: [(label.clone(), count)].into(),
            errors: 0,
            latency: Latency::default(),
        });
        side.count(&Counted {
            groups: groups.collect(),
            by_status: [(200, part)].into(),
            ..Counted::default()
        });
    }
    side
}
