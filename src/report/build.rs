//! From a claim, what was measured and what follows to the report.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::stickiness::StickinessReport;
use super::{
    AddressReport, AssignmentReport, BackendReport, ChangeReport, ChiSquareReport, Coded,
    ConnectionsReport, EvennessReport, Finding, LatencyReport, LimitReport, PlanReport, PodReport,
    Report, RequestsReport, SCHEMA_VERSION, SequentialReport, TargetReport, TestReport, Tool,
    UnmappedReport, WindowReport,
};
use crate::claim::{Claim, Criterion, Limit};
use crate::exit::ExitStatus;
use crate::identity::assignment::{Assignment, Basis, Group};
use crate::measured::{Address, Measured, Trial};
use crate::observation::status;
use crate::plan::ConnectionUse;
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::split::Split;
use crate::stats::chi_square::ChiSquare;
use crate::stats::equivalence::{leak_ruled_out, tolerances};
use crate::stats::intervals;
use crate::tally::counted::Counted;
use crate::tally::latency::Latency;
use crate::tally::monitor::Standing;
use crate::tally::set_aside::SetAside;
use crate::tally::windows::Block;
use crate::verdict::decision::{Counts, Judged};
use crate::verdict::health::Held;
use crate::verdict::{Change, Evidence, Outcome, Reason, diagnosis, health, promise};

/// Intervals miss the share that they are for at most this often.
const INTERVAL_ERROR_RATE: f64 = 0.05;

impl Report {
    /// Writes down what was measured and what follows from it.
    #[must_use]
    pub fn of(claim: &Claim, measured: &Measured, outcome: &Outcome) -> Self {
        let groups = measured.counted.groups.iter();
        let groups: Vec<Group> = groups.map(|counted| counted.group.clone()).collect();
        let mut report = Self::of_outcome(claim, &groups, outcome);
        report.unmapped = unmapped(&groups, &measured.counted.observed(), &outcome.assignment);
        let trial = &measured.trial;
        if let Some(run_id) = &trial.run_id {
            report.run_id.clone_from(run_id);
        }
        report.target = Some(target(measured));
        report.plan.add_load(claim, trial);
        report.sequential = measured.standing.as_ref().map(sequential);
        report.requests.count(&measured.counted);
        report.requests.set_aside(&measured.set_aside);
        if let Some(started_at) = measured.started_at {
            report.add_measurement(claim, measured, outcome, started_at);
        }
        if let Some(sharding) = &trial.shard {
            report.add_shard(claim, measured, sharding);
        }
        report
    }

    /// Writes down counts that were taken elsewhere and what follows from them.
    #[must_use]
    pub fn of_counts(claim: &Claim, evidence: &Evidence, outcome: &Outcome) -> Self {
        let mut report = Self::of_outcome(claim, &evidence.groups, outcome);
        report.unmapped = unmapped(&evidence.groups, &evidence.observed, &outcome.assignment);
        report.plan.seed = claim.seed;
        report.plan.sequential = evidence.standing.is_some();
        report.sequential = evidence.standing.as_ref().map(sequential);
        report.requests.attributed = evidence.observed.iter().sum();
        report.requests.unattributed = evidence.unattributed;
        report.requests.sent = report.requests.attributed + evidence.unattributed;
        report
    }

    /// The status that the process ends with.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    fn of_outcome(claim: &Claim, groups: &[Group], outcome: &Outcome) -> Self {
        let sessions = claim.sessions.as_ref().zip(outcome.sessions.as_ref());
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::own(),
            run_id: run_id(),
            started_at: None,
            finished_at: None,
            duration_seconds: 0.0,
            interrupted: outcome.interrupted,
            verdict: outcome.verdict,
            split_verdict: outcome.split_verdict,
            exit_status: outcome.status().code(),
            reasons: coded(&outcome.reasons),
            target: None,
            plan: PlanReport::of_criterion(&claim.criterion),
            test: outcome.test.as_ref().and_then(test),
            stickiness: sessions
                .map(|(planned, kept)| StickinessReport::of(&claim.split, planned, kept)),
            sequential: None,
            change: outcome.change.as_ref().map(change),
            backends: backends(claim, groups, outcome),
            evenness: claim
                .split
                .is_of_pods()
                .then(|| evenness(claim, groups, &outcome.counts)),
            unmapped: Vec::new(),
            pods: Vec::new(),
            limits: limits(&claim.split, outcome),
            assignment: assignment(&claim.split, groups, &outcome.assignment),
            requests: RequestsReport::default(),
            connections: None,
            addresses: Vec::new(),
            throughput_per_second: None,
            latency: None,
            findings: findings(&outcome.findings),
            windows: Vec::new(),
            shard: None,
            shard_agreement: outcome.agreement.as_ref().map(Into::into),
            measurement: None,
        }
    }

    fn add_measurement(
        &mut self,
        claim: &Claim,
        measured: &Measured,
        outcome: &Outcome,
        started_at: SystemTime,
    ) {
        let (counted, assignment) = (&measured.counted, &outcome.assignment);
        self.started_at = Some(timestamp(started_at));
        self.finished_at = Some(timestamp(started_at + measured.elapsed));
        self.duration_seconds = measured.elapsed.as_secs_f64();
        for (index, backend) in self.backends.iter_mut().enumerate() {
            backend.add_health(measured, assignment, index);
        }
        self.pods = pods(claim, counted, assignment);
        let opened = measured.connections.opened;
        self.connections = Some(ConnectionsReport {
            opened,
            reopened: measured.connections.reopened,
            requests_per_connection: share(self.requests.sent, opened),
            most_open: measured.connections.most_open,
        });
        self.addresses = addresses(measured, assignment, claim.split.len());
        let seconds = self.duration_seconds;
        self.throughput_per_second = (seconds > 0.0).then(|| counted.responses() as f64 / seconds);
        self.latency = Some(latency(&counted.latency()));
        self.windows = windows(counted, &outcome.windows);
    }
}

impl RequestsReport {
    fn count(&mut self, counted: &Counted) {
        self.attributed = counted.attributed();
        self.unattributed = counted.unattributed();
        self.sent = self.attributed + self.unattributed;
        self.never_sent = counted.never_sent();
        self.by_status = statuses(&counted.by_status);
        self.unidentified_by_status = statuses(&counted.unidentified_by_status);
        self.by_failure = named(&counted.by_failure);
    }

    fn set_aside(&mut self, set_aside: &SetAside) {
        self.set_aside = set_aside.sent();
        self.sent += self.set_aside;
        let reasons = set_aside.by_reason();
        self.set_aside_by_reason = by_name(reasons.map(|(reason, count)| (reason.code(), count)));
        self.set_aside_identified = set_aside.identified();
        self.set_aside_by_status = by_name(set_aside.by_status().map(status_named));
        self.set_aside_by_failure = by_name(set_aside.by_failure());
    }
}

impl PlanReport {
    fn of_criterion(criterion: &Criterion) -> Self {
        Self {
            requests: None,
            duration_seconds: None,
            max_duration_seconds: None,
            wait_ready_seconds: None,
            warmup_requests: None,
            warmup_seconds: None,
            concurrency: None,
            streams: None,
            threads: None,
            rate_per_second: None,
            requests_per_connection: None,
            replacements: None,
            promise: None,
            alpha: criterion.alpha,
            tolerance_share: criterion.tolerance,
            judge: criterion.judge.code(),
            sequential: false,
            max_unattributed_share: criterion.max_unattributed,
            seed: 0,
        }
    }

    fn add_load(&mut self, claim: &Claim, trial: &Trial) {
        let budget = &trial.budget;
        self.requests = budget.requests.map(NonZeroU64::get);
        self.duration_seconds = budget.duration.as_ref().map(Duration::as_secs_f64);
        self.max_duration_seconds = Some(budget.max_duration.as_secs_f64());
        let wait_ready = trial.preparation.wait_ready.as_ref();
        self.wait_ready_seconds = wait_ready.map(Duration::as_secs_f64);
        match trial.preparation.warmup {
            Some(Warmup::Requests(requests)) => self.warmup_requests = Some(requests.get()),
            Some(Warmup::Duration(time)) => self.warmup_seconds = Some(time.as_secs_f64()),
            None => {}
        }
        self.concurrency = Some(trial.concurrency);
        self.streams = Some(trial.streams);
        self.threads = Some(trial.threads);
        self.rate_per_second = trial.rate.map(Rate::per_second);
        self.requests_per_connection = match trial.connection_use {
            ConnectionUse::Requests(limit) => Some(limit.get()),
            ConnectionUse::KeepAlive => None,
        };
        self.replacements = budget.requests.map(|_| budget.replacements());
        let promise = |requests| promise::promise(claim, requests);
        self.promise = match &claim.sessions {
            Some(stickiness) => Some(promise::sessions_promise(stickiness, &claim.criterion)),
            None => budget.requests.map(promise),
        };
        self.sequential = trial.sequential;
        self.seed = claim.seed;
    }
}

impl BackendReport {
    /// Adds what the groups assigned to this backend tell beside their number.
    fn add_health(&mut self, measured: &Measured, assignment: &Assignment, backend: usize) {
        let (errors, latency) = health::of_backend(measured, &assignment.fixed, backend);
        self.errors = errors;
        self.error_share = share(self.errors, latency.count());
        self.latency_p50_seconds = seconds(latency.quantile(0.5));
        self.latency_p99_seconds = seconds(latency.quantile(0.99));
        self.latency_histogram = Some(histogram(&latency));
    }
}

fn backends(claim: &Claim, groups: &[Group], outcome: &Outcome) -> Vec<BackendReport> {
    let Claim {
        split, criterion, ..
    } = claim;
    let counts = &outcome.counts;
    let n = counts.attributed();
    let tolerances = tolerances(split.shares(), criterion.tolerance);
    // The responses of a session depend on each other.
    let has_intervals = n > 0 && outcome.sessions.is_none();
    let simultaneous =
        has_intervals.then(|| intervals::goodman(&counts.observed, INTERVAL_ERROR_RATE));
    let row = |backend: usize| {
        let observed = counts.observed[backend];
        let expected = split.shares()[backend];
        let interval = has_intervals.then(|| intervals::wilson(observed, n, INTERVAL_ERROR_RATE));
        let simultaneous = simultaneous.as_ref().map(|rows| rows[backend]);
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
            leak_ruled_out_share: silent.then(|| leak_ruled_out(n, criterion.alpha)),
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
fn unmapped(groups: &[Group], observed: &[u64], assignment: &Assignment) -> Vec<UnmappedReport> {
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

fn assignment(split: &Split, groups: &[Group], assignment: &Assignment) -> Vec<AssignmentReport> {
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
                Basis::LeftOver => "left over, same stem",
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

fn limits(split: &Split, outcome: &Outcome) -> Vec<LimitReport> {
    let row = |held: &Held| {
        let (max_p99_seconds, max_error_share) = match held.limit {
            Limit::P99(most) => (Some(most.as_secs_f64()), None),
            Limit::Errors(most) => (None, Some(most)),
        };
        LimitReport {
            label: split.labels()[held.backend].clone(),
            max_p99_seconds,
            max_error_share,
            verdict: held.verdict,
            reason: held.reason.as_ref().map(coded_one),
        }
    };
    outcome.limits.iter().map(row).collect()
}

fn test(judged: &Judged) -> Option<TestReport> {
    Some(TestReport {
        method: judged.method?.code(),
        p_value: judged.p_value,
        fail_p_value: judged.fail_p_value(),
        log10_p_value: finite(judged.log10_p_value),
        chi_square: chi_square(&judged.fit.as_ref()?.chi_square),
        equivalence_p_value: judged.equivalence_p_value,
        design_effect: judged.clustering.map(|clustering| clustering.design_effect),
        effective_responses: judged
            .clustering
            .map(|clustering| clustering.effective_responses),
    })
}

fn sequential(standing: &Standing) -> SequentialReport {
    let log10 = |natural: f64| natural / std::f64::consts::LN_10;
    SequentialReport {
        stopped_after: standing.observed.iter().sum::<u64>() + standing.unattributed,
        cap: standing.cap,
        log10_e_value: finite(log10(standing.log_e_value)),
        log10_bound: log10(standing.log_bound),
        largest_face_log10: finite(log10(standing.max_face)),
    }
}

fn change(change: &Change) -> ChangeReport {
    let point = change.point.as_ref();
    ChangeReport {
        drift_p_value: change.drift.p_value,
        request: point.map(|point| point.index),
        shares_before: point.map_or_else(Vec::new, |point| point.before.clone()),
        shares_after: point.map_or_else(Vec::new, |point| point.after.clone()),
    }
}

fn chi_square(test: &ChiSquare) -> ChiSquareReport {
    let statistic = finite(test.statistic);
    ChiSquareReport {
        statistic_reason: statistic
            .is_none()
            .then(|| "infinite: a backend of weight 0 answered".to_owned()),
        statistic,
        degrees_of_freedom: u64::try_from(test.degrees_of_freedom).unwrap_or(u64::MAX),
        p_value: test.p_value,
        log10_p_value: finite(test.log10_p_value),
    }
}

/// What was asked of pods, and how far they are from equal shares.
fn evenness(claim: &Claim, groups: &[Group], counts: &Counts) -> EvennessReport {
    let pods = counts.observed.len() as u64;
    let n: u64 = counts.observed.iter().sum();
    let ratio = |count: Option<&u64>| share(count.copied()? * pods, n);
    EvennessReport {
        pods_expected: pods,
        pods_seen: groups.len() as u64,
        tolerance_ratio: claim.even_tolerance(),
        hottest_ratio: ratio(counts.observed.iter().max()),
        coldest_ratio: ratio(counts.observed.iter().min()),
    }
}

fn pods(claim: &Claim, counted: &Counted, assignment: &Assignment) -> Vec<PodReport> {
    let (mut rows, split) = (Vec::new(), &claim.split);
    let n = counted.attributed();
    let interval = |observed| {
        (n > 0 && claim.sessions.is_none())
            .then(|| intervals::wilson(observed, n, INTERVAL_ERROR_RATE))
    };
    let ratio = |observed: u64| share(observed * split.len() as u64, n);
    for (group, counted) in counted.groups.iter().enumerate() {
        let backend = assignment.fixed.get(group).copied().flatten();
        rows.extend(counted.pods.iter().map(|(name, &observed)| PodReport {
            name: name.clone(),
            label: backend.map(|backend| split.labels()[backend].clone()),
            observed,
            share: share(observed, n),
            interval_low: interval(observed).map(|interval| interval.low),
            interval_high: interval(observed).map(|interval| interval.high),
            equal_share_ratio: ratio(observed).filter(|_| split.is_of_pods()),
        }));
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// What each address brought, its responses by backend.
fn addresses(measured: &Measured, assignment: &Assignment, backends: usize) -> Vec<AddressReport> {
    let row = |(index, address): (usize, &Address)| {
        let tally = measured.by_address.get(index);
        let mut counts = vec![0; backends];
        for (observed, assigned) in tally.observed.iter().zip(&assignment.fixed) {
            if let Some(backend) = assigned {
                counts[*backend] += observed;
            }
        }
        AddressReport {
            address: address.to_string(),
            connections: tally.connections,
            failed_dials: tally.failed_dials,
            counts,
            unidentified: tally.unidentified,
            failed: tally.failed,
        }
    };
    measured.addresses.iter().enumerate().map(row).collect()
}

/// The blocks that have requests, with their counts by backend; none where no response was identified.
fn windows(counted: &Counted, counts: &[Counts]) -> Vec<WindowReport> {
    if counted.attributed() == 0 {
        return Vec::new();
    }
    let blocks = counted.windows.blocks().iter().zip(counts);
    let row = |(block, counts): (&Block, &Counts)| {
        Some(WindowReport {
            start_seconds: block.start?.as_secs_f64(),
            counts: counts.observed.clone(),
            unmapped: counts.foreign,
            unidentified: block.unidentified,
        })
    };
    blocks.filter_map(row).collect()
}

fn latency(latency: &Latency) -> LatencyReport {
    LatencyReport {
        mean_seconds: seconds(latency.mean()),
        p50_seconds: seconds(latency.quantile(0.5)),
        p90_seconds: seconds(latency.quantile(0.9)),
        p99_seconds: seconds(latency.quantile(0.99)),
        p999_seconds: seconds(latency.quantile(0.999)),
        max_seconds: seconds(latency.max()),
        histogram: histogram(latency),
    }
}

fn histogram(latency: &Latency) -> String {
    STANDARD.encode(latency.to_hdr_v2_deflate())
}

fn target(measured: &Measured) -> TargetReport {
    let trial = &measured.trial;
    TargetReport {
        url: trial.url.clone(),
        host: trial.host.clone(),
        addresses: measured.addresses.iter().map(ToString::to_string).collect(),
        protocol: trial.protocol.name(),
        tls_server_name: trial.tls_server_name.clone(),
    }
}

pub(super) fn by_name<K: ToString>(
    counts: impl Iterator<Item = (K, u64)>,
) -> BTreeMap<String, u64> {
    counts
        .map(|(name, count)| (name.to_string(), count))
        .collect()
}

/// Counts under the names of what was counted.
pub(super) fn named<K: ToString>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(name, &count)| (name.to_string(), count))
        .collect()
}

/// Responses under the names of their statuses.
pub(super) fn statuses(counts: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    by_name(
        counts
            .iter()
            .map(|(&status, &count)| status_named((status, count))),
    )
}

pub(super) fn status_named((status, count): (u16, u64)) -> (Cow<'static, str>, u64) {
    (status::name(status), count)
}

pub(super) fn coded(reasons: &[Reason]) -> Vec<Coded> {
    reasons.iter().map(coded_one).collect()
}

fn coded_one(reason: &Reason) -> Coded {
    Coded {
        code: reason.code.to_owned(),
        message: reason.message.clone(),
    }
}

fn findings(found: &[diagnosis::Finding]) -> Vec<Finding> {
    let finding = |finding: &diagnosis::Finding| Finding {
        code: finding.code.to_owned(),
        message: finding.message.clone(),
        evidence: finding
            .evidence
            .iter()
            .map(|&(name, figure)| (name.to_owned(), figure))
            .collect(),
        tied_with: finding
            .tied_with
            .iter()
            .map(|&code| code.to_owned())
            .collect(),
    };
    found.iter().map(finding).collect()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

pub(super) fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// A name for a run that was given none: its time and process.
fn run_id() -> String {
    format!("{}-{}", timestamp(SystemTime::now()), std::process::id())
}
