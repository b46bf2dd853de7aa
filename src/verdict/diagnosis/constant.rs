//! Which constant split do the counts look like?
//!
//! Every known cause is a multinomial over the backends and one more cell, the requests without an
//! identity. Those are either missing of every backend alike, or of one that fails; either way one rate
//! is estimated from the data, so that the likelihoods compare.

use super::candidate::{Candidate, SAME, candidates, expected};
use super::cause::Cause;
use super::fit::p_value;
use super::missing::Missing;
use super::{Finding, Symptoms, UNEXPLAINED, WEIGHTS, number};
use crate::stats::likelihood::rank;

/// The largest error rate at which one cause is told from another.
const TELLING_APART: f64 = 0.01;

/// Counts fit plain weights well if they are no rarer than this under them.
const FITS_WELL: f64 = 0.05;

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
        finding.next = first.candidate.cause.next(missing);
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
        symptoms.labelled(&seen)
    );
    let mut finding = Finding::new(UNEXPLAINED, symptoms.among_its_own(message)).then(WEIGHTS);
    if let Some(weights) = plain(symptoms) {
        let parts: Vec<String> = weights.iter().map(|&share| number(share)).collect();
        let fits = ["; other weights do: ", &parts.join("/")];
        finding.message.extend(fits);
    } else if let Some((code, log_likelihood)) = explained.next {
        finding = finding.with("log_likelihood", log_likelihood);
        let closest = code.replace('_', " ");
        finding
            .message
            .extend(["; the closest of them, ", &closest, ", does not fit either"]);
    }
    finding.message.push_str(&otherwise(symptoms, &seen));
    finding
}

/// A ring of hashes is off by no more than this: `HAProxy`'s random gives 67.3/32.7 for 70/30, Envoy's `ring_hash` 73/27.
const NEAR: f64 = 0.05;

/// What gives such shares though the weights are the expected ones.
fn otherwise(symptoms: &Symptoms<'_>, seen: &[f64]) -> String {
    let expected = symptoms.split.shares();
    let off = |backend: usize| seen[backend] - expected[backend];
    if (0..seen.len()).all(|backend| off(backend).abs() <= NEAR) {
        return "; a ring of hashes is as far off (HAProxy's random, Envoy's ring_hash)".to_owned();
    }
    let mut short = (0..seen.len()).filter(|&backend| off(backend) < 0.0);
    match (short.next(), short.next()) {
        (Some(one), None) => format!(
            "; retries would look so: a proxy that asks another backend again where {} fails",
            symptoms.label(one)
        ),
        _ => String::new(),
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

/// Responses by backend, then those without an identity.
fn cells(symptoms: &Symptoms<'_>) -> Vec<u64> {
    let mut cells = symptoms.independent.observed.clone();
    cells.push(symptoms.independent.unattributed);
    cells
}
