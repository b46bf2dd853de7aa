//! Who answered: backends, workloads, pods, addresses.

use std::collections::BTreeMap;

use super::latency::{histogram, seconds};
use super::test::test;
use crate::claim::Claim;
use crate::identity::assignment::{Assignment, Basis, Group};
use crate::measured::{Address, Measured};
use crate::report::{
    AddressReport, AssignmentReport, BackendEvennessReport, BackendReport, EvennessReport,
    PodReport, UnmappedReport,
};
use crate::split::Split;
use crate::tally::counted::Counted;
use crate::verdict::decision::Counts;
use crate::verdict::intervals::ERROR_RATE;
use crate::verdict::{Outcome, Part, health};

impl BackendReport {
    /// Adds what the groups assigned to this backend tell beside their number.
    pub(super) fn add_health(
        &mut self,
        measured: &Measured,
        assignment: &Assignment,
        backend: usize,
    ) {
        let (errors, latency) = health::of_backend(measured, &assignment.fixed, backend);
        self.errors = errors;
        self.error_share = share(self.errors, latency.count());
        self.latency_p50_seconds = seconds(latency.quantile(0.5));
        self.latency_p99_seconds = seconds(latency.quantile(0.99));
        self.latency_histogram = Some(histogram(&latency));
    }
}

pub(super) fn backends(claim: &Claim, groups: &[Group], outcome: &Outcome) -> Vec<BackendReport> {
    let Claim { split, .. } = claim;
    let counts = &outcome.counts;
    let n = counts.attributed();
    let tolerances = claim.tolerances();
    // The responses of a session depend on each other.
    let has_intervals = n > 0 && outcome.sessions.is_none();
    let basis = outcome.interval_basis();
    // Goodman's intervals are those of each share at its part of the error rate.
    let each = ERROR_RATE / split.len() as f64;
    let row = |backend: usize| {
        let observed = counts.observed[backend];
        let expected = split.shares()[backend];
        let interval = has_intervals.then(|| basis.interval(observed, n, ERROR_RATE));
        let simultaneous = has_intervals.then(|| basis.interval(observed, n, each));
        let silent = expected == 0.0 && observed == 0 && has_intervals;
        BackendReport {
            label: split.labels()[backend].clone(),
            workload: workloads(backend, groups, &outcome.assignment),
            expected_share: expected,
            tolerance_share: tolerances[backend],
            observed,
            share: share(observed, n),
            interval_low: interval.map(|interval| interval.low),
            interval_high: interval.map(|interval| interval.high),
            simultaneous_low: simultaneous.map(|interval| interval.low),
            simultaneous_high: simultaneous.map(|interval| interval.high),
            leak_ruled_out_share: silent.then(|| claim.leak_ruled_out(n)),
            errors: 0,
            error_share: None,
            latency_p50_seconds: None,
            latency_p99_seconds: None,
            latency_histogram: None,
        }
    };
    (0..split.len()).map(row).collect()
}

/// The workloads that are no backend of the split, or may be none, by name; `observed[g]` belongs to `groups[g]`.
pub(super) fn unmapped(
    groups: &[Group],
    observed: &[u64],
    assignment: &Assignment,
) -> Vec<UnmappedReport> {
    let n: u64 = observed.iter().sum();
    let mut by_workload: BTreeMap<&str, u64> = BTreeMap::new();
    let seen = groups.iter().zip(observed);
    for ((group, &observed), assigned) in seen.zip(&assignment.fixed) {
        if assigned.is_none() && observed > 0 {
            *by_workload.entry(&group.workload).or_default() += observed;
        }
    }
    let row = |(workload, observed): (&str, u64)| UnmappedReport {
        workload: workload.to_owned(),
        observed,
        share: share(observed, n),
    };
    by_workload.into_iter().map(row).collect()
}

/// The names of the workloads that were taken for a backend.
fn workloads(backend: usize, groups: &[Group], assignment: &Assignment) -> Option<String> {
    let assigned = groups.iter().zip(&assignment.fixed);
    let mut names: Vec<&str> = assigned
        .filter(|&(_, assigned)| *assigned == Some(backend))
        .map(|(group, _)| group.workload.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| names.join(","))
}

pub(super) fn assignment(
    split: &Split,
    groups: &[Group],
    assignment: &Assignment,
) -> Vec<AssignmentReport> {
    let known = assignment
        .inferences
        .iter()
        .map(|inference| AssignmentReport {
            workload: inference.workload.clone(),
            label: Some(split.labels()[inference.label].clone()),
            reason: match inference.basis {
                Basis::Explicit => "--backend",
                Basis::ExactName => "exact name",
                Basis::NameToken => "last token of the name",
                Basis::LeftOver => "inferred: only name left",
                Basis::Alone => "only workload that answered",
            }
            .to_owned(),
        });
    let doubtful = assignment
        .ambiguous
        .iter()
        .map(|ambiguity| AssignmentReport {
            workload: groups[ambiguity.group].workload.clone(),
            label: None,
            reason: "ambiguous".to_owned(),
        });
    let mut rows: Vec<AssignmentReport> = known.chain(doubtful).collect();
    rows.dedup();
    rows
}

pub(super) fn pods(claim: &Claim, counted: &Counted, outcome: &Outcome) -> Vec<PodReport> {
    let (mut rows, split) = (Vec::new(), &claim.split);
    let n = counted.attributed();
    let basis = outcome.interval_basis();
    let interval = |observed| {
        (n > 0 && claim.sessions.is_none()).then(|| basis.interval(observed, n, ERROR_RATE))
    };
    let ratio = |backend: Option<usize>, observed: u64| {
        if split.is_of_pods() {
            return share(observed * split.len() as u64, n);
        }
        let backend = backend?;
        let pods = claim.within.as_ref()?.pods[backend]?.get() as u64;
        share(
            observed * pods,
            of_backend(counted, &outcome.assignment, backend),
        )
    };
    for (group, own) in counted.groups.iter().enumerate() {
        let backend = outcome.assignment.fixed.get(group).copied().flatten();
        rows.extend(own.pods.iter().map(|(name, &observed)| PodReport {
            name: name.clone(),
            label: backend.map(|backend| split.labels()[backend].clone()),
            observed,
            share: share(observed, n),
            interval_low: interval(observed).map(|interval| interval.low),
            interval_high: interval(observed).map(|interval| interval.high),
            equal_share_ratio: ratio(backend, observed),
        }));
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// What was asked of pods, and how far they are from equal shares.
pub(super) fn evenness(claim: &Claim, seen: usize, counts: &Counts) -> EvennessReport {
    let pods = counts.observed.len() as u64;
    let n: u64 = counts.observed.iter().sum();
    let ratio = |count: Option<&u64>| share(count.copied()? * pods, n);
    EvennessReport {
        pods_expected: pods,
        pods_seen: seen as u64,
        tolerance_ratio: claim.even_tolerance(),
        hottest_ratio: ratio(counts.observed.iter().max()),
        coldest_ratio: ratio(counts.observed.iter().min()),
    }
}

/// The same of a backend's pods.
pub(super) fn evenness_of_backend(split: &Split, part: &Part) -> BackendEvennessReport {
    let judgement = &part.judgement;
    let seen = judgement.assignment.fixed.len();
    let whole = evenness(&part.claim, seen, &judgement.seen);
    BackendEvennessReport {
        label: split.labels()[part.backend].clone(),
        pods_expected: whole.pods_expected,
        pods_seen: whole.pods_seen,
        tolerance_ratio: whole.tolerance_ratio,
        hottest_ratio: whole.hottest_ratio,
        coldest_ratio: whole.coldest_ratio,
        verdict: judgement.verdict.into(),
        test: test(&judgement.judged),
    }
}

/// Identified responses of a backend.
fn of_backend(counted: &Counted, assignment: &Assignment, backend: usize) -> u64 {
    let groups = counted.groups.iter().zip(&assignment.fixed);
    let own = groups.filter(|&(_, &assigned)| assigned == Some(backend));
    own.map(|(group, _)| group.observed()).sum()
}

/// What each address brought, its responses by backend.
pub(super) fn addresses(
    measured: &Measured,
    assignment: &Assignment,
    backends: usize,
) -> Vec<AddressReport> {
    let row = |(index, address): (usize, &Address)| {
        let tally = measured.by_address.get(index);
        AddressReport {
            address: address.to_string(),
            connections: tally.connections,
            failed_dials: tally.failed_dials,
            counts: assignment.by_backend(&tally.observed, backends),
            unidentified: tally.unidentified,
            failed: tally.failed,
        }
    };
    measured.addresses.iter().enumerate().map(row).collect()
}

pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
