//! The whole decision, drift included: how often a steady split is taken for a drifting one, and whether one
//! that drifts can pass.

use lbtest::parts::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dependent::{Mode, ended};
use super::outcomes::in_parallel;
use super::row::{Row, standard_error};
use super::{ALPHA, Expectation, drawn, seed_of, written};

/// A step half way of so much or more passes at most at the promised error rate, with 70/30 and the planned number: what
/// CUSUM reaches its critical value of 2.036 with that probability at, `4·(2.036 + 3.09/2)·√(pq/n)`.
const NEVER_PASSES: f64 = 0.1085;

/// How the true shares change during a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Course<'a> {
    /// Not at all.
    Steady,
    /// From the one to the other, in the middle.
    Step(&'a [f64], &'a [f64]),
    /// From the one to the other, at the same pace.
    Linear(&'a [f64], &'a [f64]),
    /// Between the two, every so many requests.
    Alternating(&'a [f64], &'a [f64], usize),
    /// Between the two, there and back once, as a sine.
    Wave(&'a [f64], &'a [f64]),
}

impl Course<'_> {
    fn setting(self, shares: &[f64]) -> String {
        match self {
            Self::Steady => written(shares),
            Self::Step(one, other) => format!("{} then {}", written(one), written(other)),
            Self::Linear(one, other) => format!("{} to {} linearly", written(one), written(other)),
            Self::Alternating(one, other, every) => {
                format!("{} and {} every {every}", written(one), written(other))
            }
            Self::Wave(one, other) => format!("{} and {} as a sine", written(one), written(other)),
        }
    }

    /// The shares at a place of a run of `requests`.
    fn at(self, shares: &[f64], place: usize, requests: usize) -> Vec<f64> {
        let part = place as f64 / requests as f64;
        let (one, other, towards) = match self {
            Self::Steady => return shares.to_vec(),
            Self::Step(one, other) => (one, other, f64::from(u8::from(part >= 0.5))),
            Self::Linear(one, other) => (one, other, part),
            Self::Alternating(one, other, every) => {
                let is_other = !(place / every).is_multiple_of(2);
                (one, other, f64::from(u8::from(is_other)))
            }
            Self::Wave(one, other) => {
                let turn = std::f64::consts::TAU * part;
                (one, other, f64::midpoint(1.0, -turn.sin()))
            }
        };
        let between = one.iter().zip(other);
        between
            .map(|(one, other)| one + (other - one) * towards)
            .collect()
    }
}

/// The largest difference between the mean shares of the first half and the second.
fn difference_of_halves(course: Course<'_>, shares: &[f64], requests: usize) -> f64 {
    let mut sums = vec![0.0; shares.len()];
    for place in 0..requests {
        let sign = if 2 * place < requests { 1.0 } else { -1.0 };
        for (sum, share) in sums.iter_mut().zip(course.at(shares, place, requests)) {
            *sum += sign * share;
        }
    }
    let largest = sums.into_iter().map(f64::abs).fold(0.0, f64::max);
    2.0 * largest / requests as f64
}

/// The rate of each verdict over `runs` seeded runs of the planned number of requests.
pub(crate) fn verdicts(expectation: &Expectation, course: Course<'_>, runs: u64) -> Vec<Row> {
    let shares = expectation.shares();
    let n = expectation.planned();
    let requests = usize::try_from(n).expect("a planned run fits");
    let truth = course.setting(shares);
    let seed = seed_of(&format!("drift {} {truth}", written(shares)));
    let streams: Vec<u64> = (0..runs).collect();
    let verdicts = in_parallel(&streams, |&stream| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        let at = |place| course.at(shares, place, requests);
        let labels: Vec<usize> = (0..requests)
            .map(|place| drawn(&at(place), random.random()))
            .collect();
        ended(expectation, &labels, Mode::Fixed, shares[0])
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
    let rate = |wanted| verdicts.iter().filter(|run| run.verdict == wanted).count();
    let drifted = verdicts.iter().filter(|run| run.drifted).count();
    let is_steady = course == Course::Steady;
    let difference = difference_of_halves(course, shares, requests);
    let refuted = || verdicts.iter().filter_map(|run| run.refuted);
    let too_small = refuted().filter(|&refuted| refuted <= difference).count();
    let mean = refuted().sum::<f64>() / refuted().count().max(1) as f64;
    let spread = refuted()
        .map(|refuted| (refuted - mean).powi(2))
        .sum::<f64>();
    // The others are smaller than what is promised to be seen.
    let is_large = difference >= NEVER_PASSES;
    vec![
        row("pass", rate(Verdict::Pass), is_large.then_some(ALPHA)),
        row("fail", rate(Verdict::Fail), is_steady.then_some(ALPHA)),
        row("inconclusive", rate(Verdict::Inconclusive), None),
        row("drift_seen", drifted, is_steady.then_some(ALPHA)),
        row("refuted_wrongly", too_small, Some(ALPHA)),
        Row {
            value: mean,
            standard_error: Some((spread / runs as f64).sqrt() / (runs as f64).sqrt()),
            ..row("mean_refuted", 0, None)
        },
    ]
}
