//! The verdict on a split whose backends' pods are to share equally.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use lbtest::parts::{Claim, Evidence, Group, Sampler, Verdict, Within, decide};

use super::row::{Row, standard_error};
use super::{ALPHA, Effort, Expectation, seed_of};

/// The numbers of pods of each backend that are looked at.
pub(crate) const PODS: [usize; 4] = [2, 5, 25, 100];
/// The deviation that a PASS rules out, relative to the equal share: the program's default.
const TOLERANCE: f64 = 0.2;

/// What is true of 70/30 with `pods` pods on either side: its name, the shares of the backends, and what the first pod
/// of each gets of its equal share.
const TRUTHS: [(&str, [f64; 2], [f64; 2]); 6] = [
    ("70/30 and equal", [0.7, 0.3], [1.0, 1.0]),
    ("75/25 and equal", [0.75, 0.25], [1.0, 1.0]),
    ("70/30 and one of v1 at 1.2 ×", [0.7, 0.3], [1.2, 1.0]),
    ("70/30 and one of v1 at 0.8 ×", [0.7, 0.3], [0.8, 1.0]),
    ("70/30 and one of v2 at 1.2 ×", [0.7, 0.3], [1.0, 1.2]),
    ("70/30 and one of v2 at 0.8 ×", [0.7, 0.3], [1.0, 0.8]),
];

/// Each verdict at the planned number of requests, by the code that decides.
pub(crate) fn errors(pods: usize, effort: Effort) -> Vec<Row> {
    let within = Within {
        pods: vec![NonZeroUsize::new(pods); 2],
        names: Vec::new(),
        tolerance: TOLERANCE,
    };
    let claim = Expectation::new(&[70.0, 30.0]).claim;
    let claim = claim.with_pods(within).expect("few enough to be judged");
    let cell = |&truth| cell(&claim, pods, truth, effort.few);
    TRUTHS.iter().flat_map(cell).collect()
}

fn cell(
    claim: &Claim,
    pods: usize,
    (name, shares, firsts): (&str, [f64; 2], [f64; 2]),
    runs: u64,
) -> Vec<Row> {
    let n = claim.planned_requests().get();
    let groups: Vec<Group> = (0..2 * pods).map(|pod| group(pod / pods, pod)).collect();
    let truth: Vec<f64> = (0..2 * pods)
        .map(|pod| {
            let (backend, equal) = (pod / pods, 1.0 / pods as f64);
            let own = match pod % pods {
                0 => firsts[backend] * equal,
                _ => (1.0 - firsts[backend] * equal) / (pods - 1) as f64,
            };
            shares[backend] * own
        })
        .collect();
    let sampler = Sampler::new(&truth);
    let mut random = ChaCha8Rng::seed_from_u64(seed_of(&format!("within {pods} {name}")));
    let mut counts = [0_u64; 3];
    for _ in 0..runs {
        let mut observed = vec![0; 2 * pods];
        sampler.draw(n, &mut random, &mut observed);
        let evidence = Evidence {
            groups: groups.clone(),
            observed,
            ..Evidence::default()
        };
        counts[match decide(claim, &evidence).verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Inconclusive => 2,
        }] += 1;
    }
    let is_right = name == TRUTHS[0].0;
    let outcomes = ["pass", "fail", "inconclusive"].into_iter().zip(counts);
    let rows = outcomes.map(|(outcome, count)| {
        let value = count as f64 / runs as f64;
        let is_error = outcome == if is_right { "fail" } else { "pass" };
        Row {
            part: "within",
            split: format!("{pods} and {pods}"),
            requests: n,
            setting: String::new(),
            truth: name.to_owned(),
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

fn group(backend: usize, pod: usize) -> Group {
    Group {
        workload: format!("app-v{}", backend + 1),
        owner: format!("app-v{}-{pod}", backend + 1),
        explicit: Some(backend),
        is_foreign: false,
    }
}
