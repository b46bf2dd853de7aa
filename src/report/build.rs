//! From a claim, what was measured and what follows to the report.

mod backends;
mod latency;
mod plan;
mod requests;
mod test;

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::measurement::MarksReport;
use super::stickiness::StickinessReport;
use super::{
    Coded, ConnectionsReport, Finding, LimitReport, PlanReport, Report, RequestsReport,
    SCHEMA_VERSION, TargetReport, Tool, WindowReport,
};
use crate::claim::{Claim, Limit};
use crate::exit::ExitStatus;
use crate::identity::assignment::Group;
use crate::measured::Measured;
use crate::split::Split;
use crate::tally::counted::Counted;
use crate::tally::windows::Block;
use crate::verdict::decision::Counts;
use crate::verdict::health::Held;
use crate::verdict::{Evidence, Outcome, Reason, diagnosis};
use backends::{
    addresses, assignment, backends, evenness, evenness_of_backend, pods, share, unmapped,
};
use latency::latency;
pub(super) use requests::{by_name, named, status_named, statuses};
use test::{change, sequential, test};

impl Report {
    /// Writes down what was measured and what follows from it.
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
        report.requests.set_aside_by_backend = set_aside_by_backend(claim, measured, outcome);
        if let Some(started_at) = measured.started_at {
            report.add_measurement(claim, measured, outcome, started_at);
        }
        report.marks = measured.marked.as_ref().map(|marked| MarksReport {
            run: marked.run.clone(),
            first: marked.first,
            last: (marked.first + report.requests.tickets()).saturating_sub(1),
        });
        if let Some(sharding) = &trial.shard {
            report.add_shard(claim, measured, sharding);
        }
        report
    }

    /// Writes down counts that were taken elsewhere and what follows from them.
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
    pub fn status(&self) -> ExitStatus {
        self.verdict.status(self.interrupted)
    }

    fn of_outcome(claim: &Claim, groups: &[Group], outcome: &Outcome) -> Self {
        let sessions = claim.sessions.as_ref().zip(outcome.sessions.as_ref());
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::own(),
            run_id: run_id(),
            command_line: None,
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
                .then(|| evenness(claim, groups.len(), &outcome.counts)),
            evenness_by_backend: outcome
                .parts
                .iter()
                .map(|part| evenness_of_backend(&claim.split, part))
                .collect(),
            unmapped: Vec::new(),
            pods: Vec::new(),
            limits: limits(&claim.split, outcome),
            assignment: assignment(&claim.split, groups, &outcome.assignment),
            requests: RequestsReport::default(),
            connections: None,
            addresses: Vec::new(),
            throughput_per_second: None,
            latency: None,
            findings: outcome
                .findings
                .iter()
                .cloned()
                .map(Finding::from)
                .collect(),
            windows: Vec::new(),
            shard: None,
            shard_agreement: outcome.agreement.as_ref().map(Into::into),
            marks: None,
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
        self.pods = pods(claim, counted, outcome);
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

/// What each backend answered before the pace of a limiter was kept to; empty where no limiter was met.
fn set_aside_by_backend(
    claim: &Claim,
    measured: &Measured,
    outcome: &Outcome,
) -> BTreeMap<String, u64> {
    let observed = measured.set_aside.by_group();
    if observed.is_empty() {
        return BTreeMap::new();
    }
    let labels = claim.split.labels();
    let counts = outcome.assignment.by_backend(observed, labels.len());
    labels.iter().cloned().zip(counts).collect()
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

pub(super) fn coded(reasons: &[Reason]) -> Vec<Coded> {
    reasons.iter().map(coded_one).collect()
}

fn coded_one(reason: &Reason) -> Coded {
    Coded {
        code: reason.code.to_owned(),
        message: reason.message.clone(),
    }
}

impl From<diagnosis::Finding> for Finding {
    fn from(finding: diagnosis::Finding) -> Self {
        let own = |(name, figure): (&str, f64)| (name.to_owned(), figure);
        Self {
            code: finding.code.to_owned(),
            message: format!("{}{}", finding.change, finding.message),
            evidence: finding.evidence.into_iter().map(own).collect(),
            tied_with: finding.tied_with.into_iter().map(str::to_owned).collect(),
            rest: finding.message,
            next: finding.next,
        }
    }
}

pub(super) fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// A name for a run that was given none: its time and process.
fn run_id() -> String {
    format!("{}-{}", timestamp(SystemTime::now()), std::process::id())
}
