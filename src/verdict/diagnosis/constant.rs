//! Which constant split do the counts look like?
//!
//! Every known cause is a multinomial over the backends and one more cell, the requests without an
//! identity. Those are either missing of every backend alike, or of one that fails; either way one rate
//! is estimated from the data, so that the likelihoods compare.

use super::cause::Cause;
use super::fit::p_value;
use super::missing::Missing;
use super::{Finding, Symptoms, UNEXPLAINED, number};
use crate::stats::chi_square::pearson;
use crate::stats::likelihood::rank;

/// Shares closer than this are the same.
const SAME: f64 = 1e-9;
/// With fewer responses expected of a pod, whether pods get the same is not tested: the χ² tail would
/// reject too often.
const LEAST_OF_A_POD: f64 = 5.0;
/// The largest error rate at which one cause is told from another.
const TELLING_APART: f64 = 0.01;

/// Counts fit plain weights well if they are no rarer than this under them.
const FITS_WELL: f64 = 0.05;

/// One cause with what it makes of the requests.
#[derive(Debug, Clone)]
struct Candidate {
    cause: Cause,
    /// By backend, summing to 1.
    shares: Vec<f64>,
    /// How many readings of the cause there were to choose from.
    readings: f64,
}

/// A cause that fits.
#[derive(Debug, Clone)]
struct Explanation {
    candidate: Candidate,
    log_likelihood: f64,
    p_value: f64,
}

/// The causes that the counts do not tell apart, the likeliest first, and how far behind the rest is.
#[derive(Debug, Default)]
pub(super) struct Explained {
    best: Vec<Explanation>,
    /// The likeliest cause that is not among the best: its code, and its log-likelihood.
    next: Option<(&'static str, f64)>,
    expected_log_likelihood: f64,
}

impl Explained {
    /// Whether what fits leaves the missing responses to no backend in particular.
    pub(super) fn leaves_missing_untied(&self) -> bool {
        let is_tied = |one: &Explanation| matches!(one.candidate.cause, Cause::Failing(_));
        !self.best.is_empty() && !self.best.iter().any(is_tied)
    }

    /// The backend whose failure explains the counts, and nothing else does.
    pub(super) fn failing(&self) -> Option<usize> {
        match &self.best[..] {
            [only] => match only.candidate.cause {
                Cause::Failing(backend) => Some(backend),
                _ => None,
            },
            _ => None,
        }
    }

    /// The likeliest cause and those tied with it; `None` where the expected split is among them.
    pub(super) fn finding(&self, symptoms: &Symptoms<'_>, missing: &Missing) -> Option<Finding> {
        let [first, tied @ ..] = &self.best[..] else {
            return None;
        };
        let code = |one: &Explanation| one.candidate.cause.code(symptoms, missing);
        let is_expected = |one: &Explanation| one.candidate.cause == Cause::AsExpected;
        if self.best.iter().any(is_expected) {
            return None;
        }
        let shares = &first.candidate.shares;
        let sentence = first.candidate.cause.sentence(symptoms, missing, shares);
        let sentence = symptoms.among_its_own(sentence);
        let finding = Finding::new(code(first), sentence)
            .with("p_value", first.p_value)
            .with("log_likelihood", first.log_likelihood)
            .with(
                "log_likelihood_gain_over_expected",
                first.log_likelihood - self.expected_log_likelihood,
            );
        let finding = match self.next {
            Some((_, next)) => finding.with("log_likelihood_lead", first.log_likelihood - next),
            None => finding,
        };
        let mut others: Vec<&'static str> = tied.iter().map(code).collect();
        others.dedup();
        others.retain(|&other| other != code(first));
        let tell = telling(&others, code(first));
        let mut finding = finding.tied(others);
        finding.message.push_str(tell);
        Some(finding)
    }
}

/// What would tell causes apart that the counts cannot.
fn telling(others: &[&str], first: &str) -> &'static str {
    let both = |one: &str, other: &str| {
        (first == one && others.contains(&other)) || (first == other && others.contains(&one))
    };
    if both("canary_absent", "stuck_client") {
        " (requests from another address, or the endpoints of the silent backend, would tell)"
    } else if both("primary_bypassed", "stuck_client") {
        " (requests from another address would tell)"
    } else if both("uniform_over_pods", "replica_ratio") {
        " (pods that are not ready would tell: they count as replicas and get nothing)"
    } else {
        ""
    }
}

/// Ranks the known causes. Where the expected split is not rejected it is one of them, and only a
/// backend that fails contends with it.
pub(super) fn explain(symptoms: &Symptoms<'_>, missing: &Missing) -> Explained {
    let candidates = candidates(symptoms);
    let readings: f64 = candidates.iter().map(|candidate| candidate.readings).sum();
    let observed = cells(symptoms);
    let log_likelihood = |candidate: &Candidate| {
        let shares = candidate.cells(symptoms);
        rank(&observed, &[shares], 0.5)
            .first()
            .map_or(f64::NEG_INFINITY, |ranked| ranked.log_likelihood)
    };
    let mut explained = Explained {
        expected_log_likelihood: log_likelihood(&expected(symptoms)),
        ..Explained::default()
    };
    let (mut fitting, mut others) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let log_likelihood = log_likelihood(&candidate);
        match candidate.fit(symptoms) {
            Some(p_value) => fitting.push(Explanation {
                candidate,
                log_likelihood,
                p_value,
            }),
            None => others.push((candidate.cause.code(symptoms, missing), log_likelihood)),
        }
    }
    let shares: Vec<Vec<f64>> = fitting
        .iter()
        .map(|one| one.candidate.cells(symptoms))
        .collect();
    // A cause of which the best reading was chosen competes with all of its readings.
    let compared = (fitting.len() as f64 - 1.0).max(1.0);
    let level = symptoms.alpha.min(TELLING_APART) * compared / (readings - 1.0).max(compared);
    let ranked = rank(&observed, &shares, level);
    let is_best = |place: usize| place == 0 || (ranked[0].tied && ranked[place].tied);
    for (place, row) in ranked.iter().enumerate() {
        let one = &fitting[row.index];
        if is_best(place) {
            explained.best.push(one.clone());
        } else {
            let code = one.candidate.cause.code(symptoms, missing);
            others.push((code, one.log_likelihood));
        }
    }
    explained.next = others
        .into_iter()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, log_likelihood)| log_likelihood.is_finite());
    explained
}

/// That no known cause fits, and which comes closest.
pub(super) fn unexplained(symptoms: &Symptoms<'_>, missing: &Missing) -> Finding {
    let explained = explain(symptoms, missing);
    let seen: Vec<f64> = symptoms
        .counts
        .observed
        .iter()
        .map(|&count| count as f64 / symptoms.attributed().max(1) as f64)
        .collect();
    let message = format!(
        "none of the known causes explains the counts: {}",
        symptoms.told(&seen)
    );
    let finding = Finding::new(UNEXPLAINED, symptoms.among_its_own(message));
    if let Some(weights) = plain(symptoms) {
        let mut finding = finding;
        let told: Vec<String> = weights.iter().map(|&share| number(share)).collect();
        let fits = ["; other weights do: ", &told.join("/")];
        finding.message.extend(fits);
        return finding;
    }
    match explained.next {
        Some((code, log_likelihood)) => {
            let mut finding = finding.with("log_likelihood", log_likelihood);
            let closest = code.replace('_', " ");
            finding
                .message
                .extend(["; the closest of them, ", &closest, ", does not fit either"]);
            finding
        }
        None => finding,
    }
}

/// More backends than this have no plain weights that a person would recognise.
const MOST_PLAIN: usize = 3;

/// The roundest weights, in steps of 10, 5 or 1 %, that the counts fit well.
fn plain(symptoms: &Symptoms<'_>) -> Option<Vec<f64>> {
    let counts = &symptoms.independent.observed;
    let n = counts.iter().sum::<u64>() as f64;
    if counts.len() > MOST_PLAIN || n <= 0.0 {
        return None;
    }
    [10.0, 20.0, 100.0].into_iter().find_map(|steps: f64| {
        let round = |&count: &u64| (count as f64 / n * steps).round() / steps;
        let shares: Vec<f64> = counts.iter().map(round).collect();
        let is_whole = (shares.iter().sum::<f64>() - 1.0).abs() < SAME;
        let fits = p_value(symptoms, counts, &shares).is_some_and(|p| p > FITS_WELL);
        (is_whole && fits).then_some(shares)
    })
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
    fn cells(&self, symptoms: &Symptoms<'_>) -> Vec<f64> {
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
    fn fit(&self, symptoms: &Symptoms<'_>) -> Option<f64> {
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

/// Responses by backend, then those without an identity.
fn cells(symptoms: &Symptoms<'_>) -> Vec<u64> {
    let mut cells = symptoms.independent.observed.clone();
    cells.push(symptoms.independent.unattributed);
    cells
}

fn expected(symptoms: &Symptoms<'_>) -> Candidate {
    Candidate::new(Cause::AsExpected, symptoms.split.shares().to_vec())
}

fn candidates(symptoms: &Symptoms<'_>) -> Vec<Candidate> {
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
