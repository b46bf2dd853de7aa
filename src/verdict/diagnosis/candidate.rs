//! The constant splits that the known causes make of the expected one.

use super::Symptoms;
use super::cause::Cause;
use super::fit::p_value;
use crate::stats::chi_square::pearson;
use crate::stats::likelihood::rank;

/// Shares closer than this are the same.
pub(super) const SAME: f64 = 1e-9;
/// With fewer responses expected of a pod, whether pods get the same is not tested: the χ² tail would
/// reject too often.
const LEAST_OF_A_POD: f64 = 5.0;

/// One cause with what it makes of the requests.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) cause: Cause,
    /// By backend, summing to 1.
    pub(super) shares: Vec<f64>,
    /// How many readings of the cause there were to choose from.
    pub(super) readings: f64,
}

impl Candidate {
    fn new(cause: Cause, shares: Vec<f64>) -> Self {
        Self {
            cause,
            shares,
            readings: 1.0,
        }
    }

    fn of(self, readings: f64) -> Self {
        Self { readings, ..self }
    }

    /// The shares of the backends and of what is missing.
    pub(super) fn cells(&self, symptoms: &Symptoms<'_>) -> Vec<f64> {
        let missed = symptoms.independent.unattributed as f64;
        let mut cells = self.shares.clone();
        if let Cause::Failing(backend) = self.cause {
            let failed = missed / (missed + symptoms.independent.observed[backend] as f64).max(1.0);
            cells.push(cells[backend] * failed);
            cells[backend] *= 1.0 - failed;
        } else {
            let rate = missed / (missed + symptoms.independent_responses() as f64).max(1.0);
            for cell in &mut cells {
                *cell *= 1.0 - rate;
            }
            cells.push(rate);
        }
        cells
    }

    /// Its own goodness of fit; `None` where that rejects it.
    pub(super) fn fit(&self, symptoms: &Symptoms<'_>) -> Option<f64> {
        let mut counts = symptoms.independent.observed.clone();
        match self.cause {
            // The verdict has tested it already.
            Cause::AsExpected => return (!symptoms.is_off()).then_some(symptoms.p_value?),
            Cause::Failing(backend) => counts[backend] += symptoms.independent.unattributed,
            Cause::UniformOverPods if !pods_get_the_same(symptoms) => return None,
            _ => {}
        }
        let p = p_value(symptoms, &counts, &self.shares)?;
        (p > symptoms.alpha).then_some(p)
    }
}

pub(super) fn expected(symptoms: &Symptoms<'_>) -> Candidate {
    Candidate::new(Cause::AsExpected, symptoms.split.shares().to_vec())
}

/// What the counts are compared with; the expected split is among it where it is not rejected.
pub(super) fn candidates(symptoms: &Symptoms<'_>) -> Vec<Candidate> {
    let mut all = Vec::new();
    if symptoms.is_off() {
        one_sided(symptoms, &mut all);
        weights(symptoms, &mut all);
        pods(symptoms, &mut all);
        let same = |candidate: &Candidate| {
            let expected = symptoms.split.shares().iter();
            let mut pairs = expected.zip(&candidate.shares);
            pairs.all(|(one, other)| (one - other).abs() < SAME)
        };
        all.retain(|candidate| !same(candidate));
    } else {
        all.push(expected(symptoms));
    }
    if symptoms.independent.unattributed > 0 {
        let positive = |backend: &usize| symptoms.split.shares()[*backend] > 0.0;
        all.extend((0..symptoms.split.len()).filter(positive).map(|backend| {
            Candidate::new(Cause::Failing(backend), symptoms.split.shares().to_vec())
        }));
    }
    all
}

/// Causes that leave a backend silent without an error.
fn one_sided(symptoms: &Symptoms<'_>, all: &mut Vec<Candidate>) {
    let shares = symptoms.split.shares();
    let (observed, k) = (&symptoms.independent.observed[..], shares.len());
    let silent: Vec<usize> = (0..k)
        .filter(|&backend| observed[backend] == 0 && shares[backend] > 0.0)
        .collect();
    let heard: Vec<usize> = (0..k).filter(|&backend| observed[backend] > 0).collect();
    // As many errors as the silent backend's requests are no coincidence.
    let fails = |&backend: &usize| {
        let failing = Candidate::new(Cause::Failing(backend), shares.to_vec());
        symptoms.independent.unattributed > 0 && failing.fit(symptoms).is_some()
    };
    if silent.is_empty() || heard.is_empty() || silent.iter().any(fails) {
        return;
    }
    let lost: f64 = silent.iter().map(|&backend| shares[backend]).sum();
    let kept = |backend: usize| {
        if silent.contains(&backend) {
            0.0
        } else {
            shares[backend]
        }
    };
    let mut readings: Vec<Vec<f64>> = heard
        .iter()
        .map(|&heir| {
            (0..k)
                .map(|backend| kept(backend) + if backend == heir { lost } else { 0.0 })
                .collect()
        })
        .collect();
    if lost < 1.0 && heard.len() > 1 {
        readings.push((0..k).map(|backend| kept(backend) / (1.0 - lost)).collect());
    }
    let number = readings.len() as f64;
    if let Some(shares) = likeliest(observed, readings) {
        all.push(Candidate::new(Cause::Absent(silent), shares).of(number));
    }
    if let [only] = heard[..] {
        let one_hot = (0..k).map(|backend| f64::from(u8::from(backend == only)));
        let stuck = Candidate::new(Cause::StuckClient(only), one_hot.collect()).of(k as f64);
        // A client that is stuck sees one pod as a rule; one that sees several is stuck no further than
        // to the backend. Equal likelihoods keep this order.
        let one_pod = symptoms.pods.get(only).is_some_and(|pods| pods.len() == 1);
        let place = if one_pod { 0 } else { all.len() };
        all.insert(place, stuck);
    }
}

/// Causes that apply other weights.
fn weights(symptoms: &Symptoms<'_>, all: &mut Vec<Candidate>) {
    let (shares, observed) = (symptoms.split.shares(), &symptoms.independent.observed[..]);
    let k = shares.len();
    // The likeliest order gives the largest share to the largest count, and so on down.
    let descending = |key: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
        order
    };
    let by_share = descending(&|backend| shares[backend]);
    let by_count = descending(&|backend| observed[backend] as f64);
    let mut swapped = vec![0.0; k];
    for (&from, &to) in by_share.iter().zip(&by_count) {
        swapped[to] = shares[from];
    }
    let orders = (2..=k.min(15)).map(|i| i as f64).product::<f64>();
    all.push(Candidate::new(Cause::WeightsSwapped, swapped).of(orders - 1.0));

    let positive = shares.iter().filter(|&&share| share > 0.0).count();
    let equal = |number: usize, holds: &dyn Fn(f64) -> bool| -> Vec<f64> {
        let share = |&own: &f64| if holds(own) { 1.0 / number as f64 } else { 0.0 };
        shares.iter().map(share).collect()
    };
    let mut readings = vec![equal(positive, &|share| share > 0.0)];
    if positive < k {
        readings.push(equal(k, &|_| true));
    }
    let number = readings.len() as f64;
    if let Some(shares) = likeliest(observed, readings) {
        all.push(Candidate::new(Cause::EqualWeights, shares).of(number));
    }
    // Many things bring a canary to few percent; only ingress-nginx reads totals so. Who writes weights out of more than
    // 100 has a total in mind.
    let is_of_more = symptoms.split.weights().iter().sum::<f64>() > 100.0 + SAME;
    if symptoms.is_ingress_nginx || is_of_more {
        total_ignored(symptoms, all);
    }
}

/// ingress-nginx takes canary-weight w as w/max(canary-weight-total, 100): a total below 100 does not
/// count, and where the total is not read at all, none does. One backend, whichever it is, is the primary and gets the
/// rest.
fn total_ignored(symptoms: &Symptoms<'_>, all: &mut Vec<Candidate>) {
    let weights = symptoms.split.weights();
    let sum: f64 = weights.iter().sum();
    let multiples = |of: f64| {
        weights
            .iter()
            .all(|weight| (weight / of).fract().abs() < SAME)
    };
    // 70 and 30 may be how a person tells 7 and 3 of 10.
    let total = match sum {
        _ if !multiples(1.0) => return,
        _ if (sum - 100.0).abs() > SAME => sum,
        _ if multiples(10.0) => 10.0,
        _ => return,
    };
    let read = |weight: f64| weight / sum * total / 100.0;
    let readings: Vec<Vec<f64>> = (0..weights.len())
        .filter_map(|primary| {
            let canaries: f64 = (0..weights.len())
                .filter(|&backend| backend != primary)
                .map(|backend| read(weights[backend]))
                .sum();
            let share = |(backend, &weight): (usize, &f64)| {
                if backend == primary {
                    1.0 - canaries
                } else {
                    read(weight)
                }
            };
            (canaries <= 1.0).then(|| weights.iter().enumerate().map(share).collect())
        })
        .collect();
    let number = readings.len() as f64;
    if let Some(shares) = likeliest(&symptoms.independent.observed, readings) {
        all.push(Candidate::new(Cause::TotalIgnored(total), shares).of(number));
    }
}

/// Causes that go by the pods or the replicas.
fn pods(symptoms: &Symptoms<'_>, all: &mut Vec<Candidate>) {
    let seen: Vec<u64> = symptoms.pods.iter().map(|pods| pods.len() as u64).collect();
    let is_seen = |(&share, &pods): (&f64, &u64)| share == 0.0 || pods > 0;
    let complete = seen.len() == symptoms.split.len()
        && symptoms.split.shares().iter().zip(&seen).all(is_seen);
    // Of a backend that never answered, the pods are unknown.
    if complete && let Some(shares) = proportions(&seen) {
        all.push(Candidate::new(Cause::UniformOverPods, shares));
    }
    let replicas = match symptoms.replicas {
        Some(replicas) => replicas,
        None if complete => &seen,
        None => return,
    };
    if let Some(shares) = proportions(replicas) {
        all.push(Candidate::new(Cause::ReplicaRatio, shares));
    }
}

fn proportions(numbers: &[u64]) -> Option<Vec<f64>> {
    let sum: u64 = numbers.iter().sum();
    let share = |&number: &u64| number as f64 / sum as f64;
    (sum > 0).then(|| numbers.iter().map(share).collect())
}

/// Whether the responses by pod agree with the same share for every one that answered.
fn pods_get_the_same(symptoms: &Symptoms<'_>) -> bool {
    let counts: Vec<u64> = symptoms.pods.iter().flatten().copied().collect();
    let n = counts.iter().sum::<u64>() as f64;
    let share = 1.0 / counts.len().max(1) as f64;
    n * share < LEAST_OF_A_POD
        || pearson(&counts, &vec![share; counts.len()])
            .is_none_or(|test| test.p_value > symptoms.alpha)
}

/// The likeliest of several readings.
fn likeliest(observed: &[u64], readings: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let best = rank(observed, &readings, 0.5).first()?.index;
    readings.into_iter().nth(best)
}
