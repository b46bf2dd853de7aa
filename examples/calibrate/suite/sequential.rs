//! The sequential verdict: wrong verdicts under a look after every response, and the requests that it takes.

use lbtest::parts::Look;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outcomes::{Rates, in_parallel};
use super::row::Row;
use super::stopping::{Stopping, most, sequential, stopping};
use super::{ALPHA, Expectation, TOLERANCE, drawn, seed_of, written};

/// True shares of the first backend, other than the expected one and the tolerance's edges, for 70/30.
pub(crate) const TRUTHS: [f64; 3] = [1.0, 0.5, 0.6];

/// The size at this significance level is reported too, where it is easier to see.
pub(crate) const LARGE_ALPHA: f64 = 0.05;

/// The smallest mean number of requests that any test with error rate `alpha` can take to refute `refuted` when
/// `truth` holds: ln(1/α) over the Kullback–Leibler divergence (Wald 1945).
pub(crate) fn wald_bound(truth: &[f64], refuted: &[f64], alpha: f64) -> f64 {
    let terms = truth.iter().zip(refuted).filter(|(share, _)| **share > 0.0);
    let divergence: f64 = terms.map(|(p, q)| p * (p / q).ln()).sum();
    -alpha.ln() / divergence
}

/// Wald's bound for the verdict that `truth` deserves: FAIL has to refute the expected split, PASS of a correct
/// one every face.
pub(crate) fn deserved_bound(expectation: &Expectation, truth: &[f64], alpha: f64) -> f64 {
    let shares = expectation.shares();
    let is_correct = truth
        .iter()
        .zip(shares)
        .all(|(one, other)| (one - other).abs() < 1e-9);
    if !is_correct {
        return wald_bound(truth, shares, alpha);
    }
    let faces = expectation.shifted();
    faces
        .iter()
        .map(|face| wald_bound(truth, face, alpha))
        .fold(0.0, f64::max)
}

/// Two backends, enumerated: wrong verdicts of the correct split and of every shift of the tolerance, and the mean
/// number of requests for these and for further `truths` of the first backend's share.
pub(crate) fn enumerated(expectation: &Expectation, alpha: f64, truths: &[f64]) -> Vec<Row> {
    let shares: [f64; 2] = expectation.shares().try_into().expect("two backends");
    let edges: Vec<f64> = expectation.shifted().iter().map(|truth| truth[0]).collect();
    let all: Vec<f64> = [shares[0]]
        .iter()
        .chain(&edges)
        .chain(truths)
        .copied()
        .collect();
    let results = stopping(shares, TOLERANCE, alpha, &all);
    let mut rows = Vec::new();
    for (place, result) in results.iter().enumerate() {
        let truth = [result.truth, 1.0 - result.truth];
        let cell = Cell {
            expectation,
            alpha,
            truth: &truth,
            setting: String::new(),
            runs: None,
        };
        let rates = Rates {
            pass: result.pass,
            fail: result.fail,
            inconclusive: result.inconclusive,
        };
        if place == 0 {
            rows.push(cell.rate("sequential_size", "fail", rates.fail, Some(alpha)));
        } else if place <= edges.len() {
            rows.push(cell.rate("sequential_wrong_pass", "pass", rates.pass, Some(alpha)));
        }
        for (outcome, rate) in [
            ("pass", rates.pass),
            ("fail", rates.fail),
            ("inconclusive", rates.inconclusive),
        ] {
            rows.push(cell.rate("sequential_verdict", outcome, rate, None));
        }
        rows.push(cell.mean(result.mean(), None));
        for (outcome, share) in QUANTILES {
            rows.push(cell.quantile(outcome, result, share));
        }
    }
    rows
}

/// The quantiles of the stopping time that are reported.
pub(crate) const QUANTILES: [(&str, f64); 3] = [
    ("requests_quantile_0.05", 0.05),
    ("requests_quantile_0.5", 0.5),
    ("requests_quantile_0.95", 0.95),
];

/// Seeded runs of the correct split, of every shift of the tolerance and of further `truths`, when each response lacks
/// an identity with probability `missing`.
pub(crate) fn simulated(
    expectation: &Expectation,
    missing: f64,
    truths: &[Vec<f64>],
    runs: u64,
) -> Vec<Row> {
    let correct = expectation.shares().to_vec();
    let shifted = expectation.shifted();
    let edges = shifted.len();
    let setting = if missing > 0.0 {
        format!("{}% missing", 100.0 * missing)
    } else {
        "simulated".to_owned()
    };
    let mut rows = Vec::new();
    let all = [correct]
        .into_iter()
        .chain(shifted)
        .chain(truths.iter().cloned());
    for (place, truth) in all.enumerate() {
        let sample = Sample::new(expectation, &truth, missing, runs);
        let cell = Cell {
            expectation,
            alpha: ALPHA,
            truth: &truth,
            setting: setting.clone(),
            runs: Some(runs),
        };
        if place == 0 {
            rows.push(cell.rate("sequential_size", "fail", sample.rates.fail, Some(ALPHA)));
        } else if place <= edges {
            rows.push(cell.rate(
                "sequential_wrong_pass",
                "pass",
                sample.rates.pass,
                Some(ALPHA),
            ));
        }
        rows.push(cell.mean(sample.mean, Some(sample.standard_error)));
    }
    rows
}

/// What seeded runs came to.
#[derive(Debug)]
struct Sample {
    rates: Rates,
    mean: f64,
    standard_error: f64,
}

impl Sample {
    fn new(expectation: &Expectation, truth: &[f64], missing: f64, runs: u64) -> Self {
        let shares = expectation.shares();
        let cell = format!(
            "sequential {} {} {missing}",
            written(shares),
            written(truth)
        );
        let seed = seed_of(&cell);
        let start = sequential(shares, TOLERANCE, ALPHA);
        let streams: Vec<u64> = (0..runs).collect();
        let stops = in_parallel(&streams, |&stream| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            let mut test = start.clone();
            loop {
                let is_missing = missing > 0.0 && random.random::<f64>() < missing;
                let backend = drawn(truth, random.random());
                let look = test.observe((!is_missing).then_some(backend));
                if look != Look::Continue {
                    break (look, test.responses() as f64);
                }
            }
        });
        let count = runs as f64;
        let rate =
            |wanted: Look| stops.iter().filter(|(look, _)| *look == wanted).count() as f64 / count;
        let mean = stops.iter().map(|(_, n)| n).sum::<f64>() / count;
        let squares: f64 = stops.iter().map(|(_, n)| (n - mean).powi(2)).sum();
        Self {
            rates: Rates {
                pass: rate(Look::Pass),
                fail: rate(Look::Fail),
                inconclusive: rate(Look::Inconclusive),
            },
            mean,
            standard_error: (squares / (count - 1.0) / count).sqrt(),
        }
    }
}

/// What the rows of a cell share.
#[derive(Debug, Clone)]
struct Cell<'a> {
    expectation: &'a Expectation,
    alpha: f64,
    truth: &'a [f64],
    setting: String,
    runs: Option<u64>,
}

impl Cell<'_> {
    fn row(&self, part: &'static str, outcome: &'static str, value: f64) -> Row {
        let shares = self.expectation.shares();
        let alpha = if self.alpha < ALPHA * 1.5 {
            String::new()
        } else {
            format!("alpha {}", self.alpha)
        };
        let space = if alpha.is_empty() || self.setting.is_empty() {
            ""
        } else {
            " "
        };
        Row {
            part,
            split: written(shares),
            requests: most(shares, TOLERANCE, self.alpha),
            setting: format!("{}{space}{alpha}", self.setting),
            truth: written(self.truth),
            method: "lbtest_sequential",
            outcome,
            value,
            standard_error: None,
            runs: self.runs,
            bound: None,
        }
    }

    fn rate(
        &self,
        part: &'static str,
        outcome: &'static str,
        rate: f64,
        bound: Option<f64>,
    ) -> Row {
        let standard_error = self
            .runs
            .map(|runs| (rate * (1.0 - rate) / runs as f64).sqrt());
        Row {
            standard_error,
            bound,
            ..self.row(part, outcome, rate)
        }
    }

    fn mean(&self, mean: f64, standard_error: Option<f64>) -> Row {
        let bound = Some(deserved_bound(self.expectation, self.truth, self.alpha));
        let row = self.row("sequential_requests", "mean_requests", mean);
        Row {
            standard_error,
            bound,
            ..row
        }
    }

    fn quantile(&self, outcome: &'static str, stopping: &Stopping, share: f64) -> Row {
        self.row(
            "sequential_requests",
            outcome,
            stopping.quantile(share) as f64,
        )
    }
}
