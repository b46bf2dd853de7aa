//! The verdict when connections carry several requests and may stick to a backend.

use lbtest::stats::dependence::ConnectionSums;
use lbtest::verdict::Verdict;
use lbtest::verdict::decision::{Clusters, Counts, judge, judge_clustered};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outcomes::in_parallel;
use super::row::Row;
use super::{ALPHA, Expectation, drawn, seed_of, written};

/// What is promised with several requests to a connection: the design effect is an estimate, so that the
/// rate is near α, and at most twice it.
pub(crate) const PROMISE: f64 = 2.0 * ALPHA;

/// Connections × requests, and the chance that a response repeats its connection's backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pinning {
    pub(crate) connections: u64,
    pub(crate) each: u64,
    pub(crate) stickiness: f64,
}

impl Pinning {
    fn setting(self) -> String {
        format!(
            "{}x{} stick {}",
            self.connections, self.each, self.stickiness
        )
    }
}

/// Whether a run ended with the wrong verdict, by each rule.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    independent: bool,
    first: bool,
    lbtest: bool,
}

/// How often a correct split fails, or one that is off passes, by the rule for connections, by the test of
/// the first responses alone, and by the test that takes all responses for independent.
pub(crate) fn errors(
    expectation: &Expectation,
    truth: &[f64],
    pinning: Pinning,
    runs: u64,
) -> Vec<Row> {
    let shares = expectation.shares();
    let (part, outcome, wrong) = if truth == shares {
        ("pinned_size", "fail", Verdict::Fail)
    } else {
        ("pinned_wrong_pass", "pass", Verdict::Pass)
    };
    let setting = pinning.setting();
    let cell = format!("pinned {} {} {setting}", written(shares), written(truth));
    let seed = seed_of(&cell);
    let streams: Vec<u64> = (0..runs).collect();
    let wrongs = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        run(expectation, truth, pinning, wrong, &mut random)
    });
    let row = |method: &'static str, of: fn(&Wrong) -> bool, bound: f64| {
        let count = wrongs.iter().filter(|run| of(run)).count();
        let value = count as f64 / runs as f64;
        Row {
            part,
            split: written(shares),
            requests: pinning.connections * pinning.each,
            setting: setting.clone(),
            truth: written(truth),
            method,
            outcome,
            value,
            standard_error: Some((value * (1.0 - value) / runs as f64).sqrt()),
            runs: Some(runs),
            bound: Some(bound),
        }
    };
    vec![
        row("lbtest", |run| run.lbtest, PROMISE),
        row("first_responses", |run| run.first, ALPHA),
        row("independent", |run| run.independent, ALPHA),
    ]
}

fn run(
    expectation: &Expectation,
    truth: &[f64],
    pinning: Pinning,
    wrong: Verdict,
    random: &mut ChaCha8Rng,
) -> Wrong {
    let claim = &expectation.claim;
    let backends = claim.split.len();
    let mut sums = ConnectionSums::new();
    let mut sample: Vec<u32> = Vec::new();
    for _ in 0..pinning.connections {
        let home = drawn(truth, random.random());
        // One cell more, for workloads that are no backend of the split.
        let mut counts = vec![0_u32; backends + 1];
        let mut first = None;
        for _ in 0..pinning.each {
            let sticks = random.random::<f64>() < pinning.stickiness;
            let backend = if sticks {
                home
            } else {
                drawn(truth, random.random())
            };
            first = first.or(Some(backend));
            counts[backend] += 1;
        }
        sums.record(&counts, first);
        sample.extend(counts);
    }
    let counts = |observed: &[u64]| Counts {
        observed: (0..backends)
            .map(|backend| observed.get(backend).copied().unwrap_or(0))
            .collect(),
        foreign: 0,
        unattributed: 0,
    };
    let all = counts(sums.observed());
    let first = counts(sums.first_responses());
    let is_wrong = |counts| judge(claim, counts).verdict == wrong;
    let clustered = |sample: &[u32]| {
        let clusters = Clusters {
            sums: sums.clone(),
            sample: sample.to_vec(),
        };
        judge_clustered(claim, all.clone(), &clusters).verdict == wrong
    };
    let first = is_wrong(first);
    // Without a sample the connections are taken for homogeneous. The permutation test decides between that
    // and the first responses: it costs much, and matters only where one of the two is wrong.
    let homogeneous = clustered(&[]);
    Wrong {
        independent: is_wrong(all.clone()),
        first,
        lbtest: if homogeneous == first {
            first
        } else {
            clustered(&sample)
        },
    }
}
