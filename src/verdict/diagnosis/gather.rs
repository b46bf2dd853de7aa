//! From a run to its symptoms.

use std::collections::BTreeMap;

use super::{Finding, Symptoms, addresses, balancer, client, diagnose, evenness, header, limiter};
use crate::claim::Claim;
use crate::identity::assignment::Backend;
use crate::measured::Measured;
use crate::observation::Failure;
use crate::verdict::decision::{Counts, Judged, Likeness, Method};
use crate::verdict::{Evidence, Judgement, Part};

/// A balancer that decides for a connection makes its responses correlated by more than this.
const KEPT: f64 = 0.9;

/// Diagnoses a run from what it counted and what was judged of it.
pub fn diagnose_run(
    claim: &Claim,
    measured: &Measured,
    evidence: &Evidence,
    judgement: &Judgement,
) -> Vec<Finding> {
    let counted = &measured.counted;
    let (assigned, backends) = (&judgement.assignment.fixed[..], claim.split.len());
    let mut errors = vec![0; backends];
    for (group, counted) in counted.groups.iter().enumerate() {
        if let Some(backend) = backend_of(assigned, group) {
            errors[backend] += counted.errors;
        }
    }
    let pods = pods(measured, assigned, backends);
    let unidentified: Vec<(u16, u64)> = pairs(&counted.unidentified_by_status);
    let failures: Vec<(Failure, u64)> = pairs(&counted.by_failure);
    let judged = &judgement.judged;
    let windows = judgement
        .windows
        .iter()
        .map(|window| window.observed.clone());
    // Blocks of answers that come in bursts are not independent.
    let comes_in_bursts = judged.order.is_some_and(|order| order.is_short_range());
    let windows: Vec<Vec<u64>> = windows.filter(|_| !comes_in_bursts).collect();
    let change = judgement.change.as_ref();
    let symptoms = Symptoms {
        split: &claim.split,
        alpha: claim.criterion.alpha,
        seed: claim.seed,
        p_value: judged.fit.map(|_| judged.standing_p_value()),
        counts: &judged.counts,
        independent: &independent(measured, judged, assigned),
        errors: &errors,
        pods: &pods,
        replicas: None,
        unidentified_by_status: &unidentified,
        failures: &failures,
        windows: &windows,
        window_length: counted.windows.length(),
        drift: change.map(|change| &change.drift),
        change: change.and_then(|change| change.point.as_ref()),
        clustering: judged.clustering,
        repeats: judged.likeness == Likeness::Alike
            && judged
                .clustering
                .is_some_and(|found| found.intraclass_correlation > KEPT),
        order: judged.order,
        signs: measured.signs,
        sends_cookie: measured.trial.sends_cookie,
        protocol: measured.trial.protocol,
        is_ingress_nginx: measured.trial.is_nginx_canary || measured.signs.ingress_nginx > 0,
    };
    let mut found = diagnose(&symptoms);
    found.extend(
        judgement
            .parts
            .iter()
            .flat_map(|part| uneven(&symptoms, part)),
    );
    let found = header::beside(claim, measured, judgement, found);
    let found = addresses::beside(claim, measured, judgement, found);
    let mut findings = limiter::before(claim, measured, judgement, found);
    findings.extend(balancer::note(claim, measured, evidence, judgement));
    findings.extend(client::findings(measured));
    findings
}

/// What the pods of a backend look like that are to share its requests equally.
fn uneven(symptoms: &Symptoms<'_>, part: &Part) -> Vec<Finding> {
    let judged = &part.judgement.judged;
    let change = part.judgement.change.as_ref();
    evenness::causes(&Symptoms {
        split: &part.claim.split,
        alpha: part.claim.criterion.alpha,
        p_value: judged.fit.map(|_| judged.p_value),
        counts: &judged.counts,
        independent: &judged.counts,
        change: change.and_then(|change| change.point.as_ref()),
        ..*symptoms
    })
}

/// What the counts are worth in independent responses, as the verdict has it.
fn independent(measured: &Measured, judged: &Judged, assigned: &[Backend]) -> Counts {
    let counts = &judged.counts;
    match (judged.method, &judged.clustering) {
        (Some(Method::FirstResponse), _) => {
            let sums = measured.counted.connections.sums();
            let mut first = Counts {
                observed: vec![0; counts.observed.len()],
                foreign: 0,
                unattributed: sums.unidentified_first(),
            };
            for (group, &responses) in sums.first_responses().iter().enumerate() {
                match backend_of(assigned, group) {
                    Some(backend) => first.observed[backend] += responses,
                    None => first.foreign += responses,
                }
            }
            first
        }
        (Some(Method::DesignEffect), Some(clustering)) => {
            let worth = |count: u64| worth(count, clustering.design_effect);
            Counts {
                observed: counts.observed.iter().map(|&count| worth(count)).collect(),
                foreign: worth(counts.foreign),
                unattributed: worth(counts.unattributed),
            }
        }
        _ => counts.clone(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count divided by at least 1"
)]
fn worth(count: u64, design_effect: f64) -> u64 {
    (count as f64 / design_effect).round() as u64
}

fn backend_of(assigned: &[Backend], group: usize) -> Backend {
    assigned.get(group).copied().flatten()
}

/// Identified responses by pod, for each backend.
fn pods(measured: &Measured, assigned: &[Backend], backends: usize) -> Vec<Vec<u64>> {
    let mut pods = vec![Vec::new(); backends];
    for (group, counted) in measured.counted.groups.iter().enumerate() {
        if let Some(backend) = backend_of(assigned, group) {
            pods[backend].extend(counted.pods.values());
        }
    }
    pods
}

fn pairs<K: Copy>(counts: &BTreeMap<K, u64>) -> Vec<(K, u64)> {
    counts.iter().map(|(&key, &count)| (key, count)).collect()
}
