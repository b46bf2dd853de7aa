//! From a plan, a run and a judgement to the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{
    AddressReport, AssignmentReport, BackendReport, ChangeReport, ChiSquareReport, Coded,
    ConnectionsReport, Finding, LatencyReport, LimitReport, PlanReport, PodReport, Report,
    RequestsReport, SCHEMA_VERSION, SequentialReport, TargetReport, TestReport, Tool, VerdictName,
    WindowReport,
};
use crate::claim::{Claim, Criterion, Limit};
use crate::exit::ExitStatus;
use crate::identity::assignment::{Assignment, Basis, Group};
use crate::load::dial::Address;
use crate::load::{Ending, LoadError, Run};
use crate::plan::preparation::Warmup;
use crate::plan::{ConnectionUse, Plan};
use crate::split::Split;
use crate::stats::chi_square::ChiSquare;
use crate::stats::equivalence::{leak_ruled_out, tolerances};
use crate::stats::intervals;
use crate::tally::Tally;
use crate::tally::latency::Latency;
use crate::tally::monitor::Standing;
use crate::tally::pods::GroupId;
use crate::tally::set_aside::SetAside;
use crate::tally::windows::Block;
use crate::verdict::decision::{Counts, Judged};
use crate::verdict::diagnosis::{self, diagnose_run};
use crate::verdict::health::{self, Breach, Health};
use crate::verdict::{
    Change, Evidence, Judgement, PartCounts, Reason, Verdict, decide, promise, unmeasured,
};

/// Intervals miss the share that they are for at most this often.
const INTERVAL_ERROR_RATE: f64 = 0.05;

impl Report {
    /// Judges a run and reports it; a shard of a run is not judged.
    #[must_use]
    pub fn of_run(plan: &Plan, run: &Run) -> Self {
        let mut report = Self::of_shards(plan, run, Vec::new());
        if let Some(sharding) = &plan.shard {
            report.leave_to_the_merge(plan, sharding, Some(run));
        }
        report
    }

    /// Judges a run that several shards measured, and reports it; `shards` is what each of them saw.
    #[must_use]
    pub fn of_shards(plan: &Plan, run: &Run, shards: Vec<PartCounts>) -> Self {
        let tally = &run.tally;
        let groups = tally.registry().groups();
        let evidence = Evidence {
            observed: by_group(tally, groups.len()),
            groups,
            unattributed: tally.unattributed(),
            cut_short: unmeasured::cut_short(plan, run),
            connections: (!plan.load.connection_use.is_fresh())
                .then(|| tally.connections().clone()),
            windows: tally
                .windows()
                .blocks()
                .iter()
                .map(|block| block.counts.clone())
                .collect(),
            sequence: Arc::clone(tally.sequence()),
            standing: run.standing.clone(),
            shards,
        };
        let judgement = decide(&plan.claim, &evidence);
        let mut report = Self::of_judgement(&plan.claim, &evidence, &judgement);
        // What a limiter's pace left no time to repeat was measured all the same.
        let is_paced = run.limiter.is_some() && run.set_aside.identified() > 0;
        if tally.attributed() == 0 && !is_paced {
            report.set_not_measured();
            report.exit_status = ExitStatus::NotMeasured.code();
            report.reasons = coded(&unmeasured::not_measured(plan, run));
        } else {
            report
                .reasons
                .extend(coded(&unmeasured::missing_answers(run)));
        }
        if run.ending == Ending::Interrupted {
            report.interrupted = true;
            report.exit_status = ExitStatus::Interrupted.code();
        }
        report.add_measurement(plan, run, &judgement);
        if let Some(stickiness) = &plan.claim.sessions {
            report.judge_sessions(plan, stickiness, run, &evidence, &judgement.assignment);
        }
        if plan.shard.is_none() {
            report.hold_to_limits(plan);
        }
        // What follow-ups look like together says nothing about how requests are split.
        if plan.claim.sessions.is_none() || tally.attributed() == 0 {
            report.findings = findings(diagnose_run(plan, run, &judgement));
        }
        report
    }

    fn set_not_measured(&mut self) {
        self.verdict = VerdictName::Error;
        self.split_verdict = VerdictName::Error;
    }

    /// Holds the backends' health against the plan's limits.
    fn hold_to_limits(&mut self, plan: &Plan) {
        for &(backend, limit) in &plan.claim.limits {
            let row = &self.backends[backend];
            let health = Health {
                responses: row.observed,
                errors: row.errors,
                p99: row.latency_p99_seconds.map(Duration::from_secs_f64),
            };
            let (verdict, reason) = match health::check(&row.label, limit, health) {
                Ok(()) => (VerdictName::Pass, None),
                Err(Breach::Exceeded(reason)) => (VerdictName::Fail, Some(reason)),
                Err(Breach::Unknown(reason)) => (VerdictName::Inconclusive, Some(reason)),
            };
            let reason = reason.map(|reason| coded(&[reason]).remove(0));
            let (max_p99_seconds, max_error_share) = match limit {
                Limit::P99(most) => (Some(most.as_secs_f64()), None),
                Limit::Errors(most) => (None, Some(most)),
            };
            self.limits.push(LimitReport {
                label: row.label.clone(),
                max_p99_seconds,
                max_error_share,
                verdict,
                reason: reason.clone(),
            });
            let Some(reason) = reason else { continue };
            let is_worse = match self.verdict {
                VerdictName::Pass => true,
                VerdictName::Inconclusive => verdict == VerdictName::Fail,
                VerdictName::Fail | VerdictName::Error | VerdictName::Measured => false,
            };
            let place = if is_worse { 0 } else { self.reasons.len() };
            self.reasons.insert(place, reason);
            if is_worse {
                self.verdict = verdict;
                self.exit_status = self.status().code();
            }
        }
    }

    /// Reports that nothing could be measured.
    #[must_use]
    pub fn of_error(plan: &Plan, error: &LoadError) -> Self {
        let evidence = Evidence::default();
        let judgement = decide(&plan.claim, &evidence);
        let mut report = Self::of_judgement(&plan.claim, &evidence, &judgement);
        report.set_not_measured();
        report.interrupted = matches!(error, LoadError::Interrupted);
        report.exit_status = if report.interrupted {
            ExitStatus::Interrupted.code()
        } else {
            ExitStatus::NotMeasured.code()
        };
        report.reasons = coded(&[unmeasured::unmeasurable(error)]);
        report.target = Some(target(plan, Vec::new()));
        report.add_name(plan);
        report.plan.add_load(plan);
        if let Some(sharding) = &plan.shard {
            report.leave_to_the_merge(plan, sharding, None);
        }
        report
    }

    /// Judges counts that were taken elsewhere and reports them.
    #[must_use]
    pub fn of_counts(claim: &Claim, evidence: &Evidence) -> Self {
        let judgement = decide(claim, evidence);
        let mut report = Self::of_judgement(claim, evidence, &judgement);
        report.plan.seed = claim.seed;
        report.plan.sequential = evidence.standing.is_some();
        if judgement.judged.counts.attributed() == 0 {
            report.set_not_measured();
            report.exit_status = ExitStatus::NotMeasured.code();
        }
        report
    }

    /// The status that the process ends with.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    fn of_judgement(claim: &Claim, evidence: &Evidence, judgement: &Judgement) -> Self {
        let Claim {
            split, criterion, ..
        } = claim;
        let counts = &judgement.judged.counts;
        let attributed = evidence.observed.iter().sum();
        let (verdict, status) = match judgement.verdict {
            Verdict::Pass => (VerdictName::Pass, ExitStatus::Pass),
            Verdict::Fail => (VerdictName::Fail, ExitStatus::Fail),
            Verdict::Inconclusive => (VerdictName::Inconclusive, ExitStatus::Inconclusive),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            run_id: run_id(),
            started_at: None,
            finished_at: None,
            duration_seconds: 0.0,
            interrupted: false,
            verdict,
            split_verdict: verdict,
            exit_status: status.code(),
            reasons: coded(&judgement.reasons),
            target: None,
            plan: PlanReport::of_criterion(criterion),
            test: test(&judgement.judged),
            stickiness: None,
            sequential: evidence.standing.as_ref().map(sequential),
            change: judgement.change.as_ref().map(change),
            backends: backends(claim, counts, evidence, &judgement.assignment),
            pods: Vec::new(),
            limits: Vec::new(),
            assignment: assignment(split, &evidence.groups, &judgement.assignment),
            requests: RequestsReport {
                sent: attributed + evidence.unattributed,
                attributed,
                unattributed: evidence.unattributed,
                set_aside: 0,
                set_aside_by_reason: BTreeMap::new(),
                set_aside_identified: 0,
                set_aside_by_status: BTreeMap::new(),
                set_aside_by_failure: BTreeMap::new(),
                never_sent: 0,
                by_status: BTreeMap::new(),
                unidentified_by_status: BTreeMap::new(),
                by_failure: BTreeMap::new(),
            },
            connections: None,
            addresses: Vec::new(),
            throughput_per_second: None,
            latency: None,
            findings: Vec::new(),
            windows: Vec::new(),
            shard: None,
            shard_agreement: judgement.agreement.as_ref().map(Into::into),
            measurement: None,
        }
    }

    fn add_name(&mut self, plan: &Plan) {
        if let Some(run_id) = &plan.run_id {
            self.run_id.clone_from(run_id);
        }
    }

    fn add_measurement(&mut self, plan: &Plan, run: &Run, judgement: &Judgement) {
        let (tally, assignment) = (&run.tally, &judgement.assignment);
        self.add_name(plan);
        self.started_at = Some(timestamp(run.started_at));
        self.finished_at = Some(timestamp(run.started_at + run.elapsed));
        self.duration_seconds = run.elapsed.as_secs_f64();
        self.target = Some(target(
            plan,
            run.addresses.iter().map(ToString::to_string).collect(),
        ));
        self.plan.add_load(plan);
        for (index, backend) in self.backends.iter_mut().enumerate() {
            backend.add_health(tally, &assignment.fixed, index);
        }
        self.pods = pods(&plan.claim.split, tally, assignment);
        self.requests.set_aside(&run.set_aside);
        self.requests.never_sent = tally.never_sent();
        self.requests.by_status = by_name(tally.by_status());
        self.requests.unidentified_by_status = by_name(tally.unidentified_by_status());
        self.requests.by_failure = by_name(tally.by_failure());
        let opened = run.connections.opened;
        self.connections = Some(ConnectionsReport {
            opened,
            reopened: run.connections.reopened,
            requests_per_connection: share(self.requests.sent, opened),
            most_open: run.connections.most_open,
        });
        self.addresses = addresses(run, assignment, plan.claim.split.len());
        let seconds = self.duration_seconds;
        self.throughput_per_second = (seconds > 0.0).then(|| tally.responses() as f64 / seconds);
        self.latency = Some(latency(&tally.latency()));
        self.windows = windows(tally, &judgement.windows);
    }
}

impl RequestsReport {
    fn set_aside(&mut self, set_aside: &SetAside) {
        self.set_aside = set_aside.sent();
        self.sent += self.set_aside;
        let reasons = set_aside.by_reason();
        self.set_aside_by_reason = by_name(reasons.map(|(reason, count)| (reason.code(), count)));
        self.set_aside_identified = set_aside.identified();
        self.set_aside_by_status = by_name(set_aside.by_status());
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

    fn add_load(&mut self, plan: &Plan) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.requests = plan.budget.requests.map(std::num::NonZeroU64::get);
        self.duration_seconds = plan.budget.duration.as_ref().map(Duration::as_secs_f64);
        self.max_duration_seconds = Some(plan.budget.max_duration.as_secs_f64());
        let wait_ready = plan.preparation.wait_ready.as_ref();
        self.wait_ready_seconds = wait_ready.map(Duration::as_secs_f64);
        match plan.preparation.warmup {
            Some(Warmup::Requests(requests)) => self.warmup_requests = Some(requests.get()),
            Some(Warmup::Duration(time)) => self.warmup_seconds = Some(time.as_secs_f64()),
            None => {}
        }
        self.concurrency = Some(count(plan.load.concurrency.get()));
        self.streams = Some(count(plan.load.streams.get()));
        self.threads = Some(count(plan.load.threads.get()));
        self.rate_per_second = plan.load.rate.map(crate::plan::pace::Rate::per_second);
        self.requests_per_connection = match plan.load.connection_use {
            ConnectionUse::Requests(limit) => Some(limit.get()),
            ConnectionUse::KeepAlive => None,
        };
        self.replacements = plan.budget.requests.map(|_| plan.budget.replacements());
        let promise = |requests| promise::promise(&plan.claim, requests);
        self.promise = match &plan.claim.sessions {
            Some(stickiness) => Some(promise::sessions_promise(stickiness, &plan.claim.criterion)),
            None => plan.budget.requests.map(promise),
        };
        self.sequential = plan.sequential;
        self.seed = plan.claim.seed;
    }
}

impl BackendReport {
    /// Adds what the groups assigned to this backend tell beside their number.
    fn add_health(&mut self, tally: &Tally, assigned: &[Option<usize>], backend: usize) {
        let mut latency = Latency::default();
        for (group, assigned) in tally.groups().iter().zip(assigned) {
            if *assigned == Some(backend) {
                self.errors += group.errors;
                latency.merge(&group.latency);
            }
        }
        self.error_share = share(self.errors, latency.count());
        self.latency_p50_seconds = seconds(latency.quantile(0.5));
        self.latency_p99_seconds = seconds(latency.quantile(0.99));
        self.latency_histogram = Some(histogram(&latency));
    }
}

fn backends(
    claim: &Claim,
    counts: &Counts,
    evidence: &Evidence,
    assignment: &Assignment,
) -> Vec<BackendReport> {
    let Claim {
        split, criterion, ..
    } = claim;
    let n = counts.attributed();
    let tolerances = tolerances(split.shares(), criterion.tolerance);
    let simultaneous = (n > 0).then(|| intervals::goodman(&counts.observed, INTERVAL_ERROR_RATE));
    let row = |backend: usize| {
        let observed = counts.observed[backend];
        let expected = split.shares()[backend];
        let interval = (n > 0).then(|| intervals::wilson(observed, n, INTERVAL_ERROR_RATE));
        let simultaneous = simultaneous.as_ref().map(|rows| rows[backend]);
        let silent = expected == 0.0 && observed == 0 && n > 0;
        BackendReport {
            label: split.labels()[backend].clone(),
            workload: workloads(backend, evidence, assignment),
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

/// The names of the workloads that were taken for a backend.
fn workloads(backend: usize, evidence: &Evidence, assignment: &Assignment) -> Option<String> {
    let assigned = evidence.groups.iter().zip(&assignment.fixed);
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

fn pods(split: &Split, tally: &Tally, assignment: &Assignment) -> Vec<PodReport> {
    let named = tally.registry().pods();
    let mut rows: Vec<PodReport> = named
        .into_iter()
        .zip(tally.pods())
        .filter(|&(_, &observed)| observed > 0)
        .map(|((name, GroupId(group)), &observed)| PodReport {
            name,
            label: assignment
                .fixed
                .get(usize::from(group))
                .copied()
                .flatten()
                .map(|backend| split.labels()[backend].clone()),
            observed,
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// What each address brought, its responses by backend.
fn addresses(run: &Run, assignment: &Assignment, backends: usize) -> Vec<AddressReport> {
    let row = |(index, address): (usize, &Address)| {
        let tally = run.by_address.get(index);
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
    run.addresses.iter().enumerate().map(row).collect()
}

/// The blocks that have responses, with their counts by backend.
fn windows(tally: &Tally, counts: &[Vec<u64>]) -> Vec<WindowReport> {
    let blocks = tally.windows().blocks().iter().zip(counts);
    let row = |(block, counts): (&Block, &Vec<u64>)| {
        Some(WindowReport {
            start_seconds: block.start?.as_secs_f64(),
            counts: counts.clone(),
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

fn target(plan: &Plan, addresses: Vec<String>) -> TargetReport {
    let host = plan.request.headers.get(http::header::HOST);
    TargetReport {
        url: plan.target.url.clone(),
        host: host
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        addresses,
        protocol: plan.target.protocol.name(),
        tls_server_name: plan
            .target
            .tls
            .as_ref()
            .map(|tls| tls.server_name.to_str().into_owned()),
    }
}

/// Identified responses by group; a group that a thread interned and nobody recorded has none.
fn by_group(tally: &Tally, groups: usize) -> Vec<u64> {
    let mut observed: Vec<u64> = tally.groups().iter().map(|group| group.observed).collect();
    observed.resize(groups, 0);
    observed
}

pub(super) fn by_name<K: ToString>(
    counts: impl Iterator<Item = (K, u64)>,
) -> BTreeMap<String, u64> {
    counts
        .map(|(name, count)| (name.to_string(), count))
        .collect()
}

pub(super) fn coded(reasons: &[Reason]) -> Vec<Coded> {
    let code = |reason: &Reason| Coded {
        code: reason.code.to_owned(),
        message: reason.message.clone(),
    };
    reasons.iter().map(code).collect()
}

fn findings(found: Vec<diagnosis::Finding>) -> Vec<Finding> {
    let finding = |finding: diagnosis::Finding| Finding {
        code: finding.code.to_owned(),
        message: finding.message,
        evidence: finding
            .evidence
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect(),
        tied_with: finding.tied_with.into_iter().map(str::to_owned).collect(),
    };
    found.into_iter().map(finding).collect()
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
