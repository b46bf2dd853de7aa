//! The whole decision, drift included: how often a steady split is taken for a drifting one, and whether one
//! that drifts can pass.

use lbtest::parts::{Evidence, MAX_BLOCKS, Mappings, Sampler, Verdict, decide};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::outcomes::in_parallel;
use super::row::{Row, standard_error};
use super::{ALPHA, Expectation, seed_of, written};

/// Requests to a block of the dispatch order: the program doubles it while there are too many blocks.
fn block_size(requests: u64) -> u64 {
    let mut size = 1;
    while (requests - 1) / size >= MAX_BLOCKS as u64 {
        size *= 2;
    }
    size
}

/// The rate of each verdict over `runs` seeded runs of the planned number of requests, the first half with the
/// true shares `truths[0]`, the second half with `truths[1]`.
#[expect(clippy::too_many_lines, reason = "a table of cells")]
pub(crate) fn verdicts(expectation: &Expectation, truths: [&[f64]; 2], runs: u64) -> Vec<Row> {
    let claim = &expectation.claim;
    let split = &claim.split;
    let shares = split.shares();
    let n = expectation.planned();
    let block = block_size(n);
    let truth = if truths[0] == truths[1] {
        written(truths[0])
    } else {
        format!("{} then {}", written(truths[0]), written(truths[1]))
    };
    let seed = seed_of(&format!("drift {} {truth}", written(shares)));
    let samplers = truths.map(Sampler::new);
    let mappings = Mappings::parse(split.labels(), &[]).expect("no mapping is no mistake");
    let streams: Vec<u64> = (0..runs).collect();
    let verdicts = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        let mut evidence = Evidence {
            groups: split
                .labels()
                .iter()
                .map(|label| mappings.group(label))
                .collect(),
            observed: vec![0; split.len()],
            ..Evidence::default()
        };
        let mut sent = 0;
        while sent < n {
            let size = block.min(n - sent);
            let mut counts = vec![0; split.len()];
            let sampler = &samplers[usize::from(2 * sent >= n)];
            sampler.draw(size, &mut random, &mut counts);
            for (total, count) in evidence.observed.iter_mut().zip(&counts) {
                *total += count;
            }
            evidence.windows.push(counts);
            sent += size;
        }
        let judgement = decide(claim, &evidence);
        let drifted = judgement.change.is_some_and(|change| change.is_significant);
        (judgement.verdict, drifted)
    });
    let row = |outcome, count: usize, bound| {
        let value = count as f64 / runs as f64;
        Row {
            part: "drift",
            split: written(shares),
            requests: n,
            setting: String::new(),
            truth: truth.clone(),
            method: "lbtest",
            outcome,
            value,
            standard_error: Some(standard_error(value, runs)),
            runs: Some(runs),
            bound,
        }
    };
    let rate = |wanted| verdicts.iter().filter(|run| run.0 == wanted).count();
    let drifted = verdicts.iter().filter(|run| run.1).count();
    let is_steady = truths[0] == truths[1];
    let is_correct = is_steady && truths[0] == shares;
    vec![
        row("pass", rate(Verdict::Pass), (!is_steady).then_some(ALPHA)),
        row("fail", rate(Verdict::Fail), is_correct.then_some(ALPHA)),
        row("inconclusive", rate(Verdict::Inconclusive), None),
        row("drift_seen", drifted, is_steady.then_some(ALPHA)),
    ]
}
