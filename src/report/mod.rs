//! The report: the JSON contract, and the renderings of it.
//!
//! [`Report`] is what `--json` writes. Additions keep [`SCHEMA_VERSION`]; nothing is renamed or removed
//! within a version. Units stand in names: `_seconds`, `_share`. There is no NaN and no infinity: such a
//! number is `null`, with a reason beside it.

pub mod annotation;
mod bounded;
pub mod build;
pub mod checks;
pub mod compare;
pub mod escape;
pub mod forecast;
pub mod html;
pub mod json;
pub mod junit;
pub mod lint;
pub mod live;
pub mod markdown;
pub mod measurement;
pub mod metrics;
mod names;
pub mod openmetrics;
pub mod pair;
pub mod rollout;
mod rows;
mod shard;
pub mod standing;
pub mod stickiness;
pub mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::format::points;
use crate::observation::status;
use crate::plan::target::Protocol;
pub use crate::verdict::VerdictName;
use crate::verdict::diagnosis::WEIGHTS;
use measurement::{MarksReport, Measurement, ShardAgreementReport, ShardReport};
pub use rows::{
    AddressReport, AssignmentReport, BackendEvennessReport, BackendReport, EvennessReport,
    LimitReport, PodReport, UnmappedReport, WindowReport,
};
use stickiness::StickinessReport;

/// The version of the JSON contract.
pub const SCHEMA_VERSION: u32 = 1;

/// One run's result: what was asked, what was seen, what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this contract.
    pub schema_version: u32,
    /// The program that wrote the report.
    pub tool: Tool,
    /// Names the run; the shards of one run share it.
    pub run_id: String,
    /// What was typed, with an ellipsis for the values of headers and cookies, for passwords and for bodies; null for
    /// the runs of `lbtest serve`.
    pub command_line: Option<String>,
    /// When the first request was due (RFC 3339, UTC); null when nothing was sent.
    pub started_at: Option<String>,
    /// When the last response had come (RFC 3339, UTC); null when nothing was sent.
    pub finished_at: Option<String>,
    /// From the first request to the last response.
    pub duration_seconds: f64,
    /// Whether Ctrl-C, SIGTERM or SIGHUP ended the run.
    pub interrupted: bool,
    /// What follows.
    pub verdict: VerdictName,
    /// What follows for the split alone, before the backends are held to limits on their health.
    pub split_verdict: VerdictName,
    /// The status that the process ends with.
    pub exit_status: u8,
    /// Why, the most important reason first.
    pub reasons: Vec<Coded>,
    /// What was asked; null when counts were judged that lbtest did not measure.
    pub target: Option<TargetReport>,
    /// What was planned.
    pub plan: PlanReport,
    /// The tests; null when nothing was attributed, and where sessions were judged.
    pub test: Option<TestReport>,
    /// Whether sessions stayed on their backends; null where the run did not consist of sessions.
    pub stickiness: Option<StickinessReport>,
    /// Where a sequential run stopped, and on what; null for a fixed number of requests.
    pub sequential: Option<SequentialReport>,
    /// Whether the split changed during the run; null where that cannot be told.
    pub change: Option<ChangeReport>,
    /// One row for each backend of the expected split, in its order.
    pub backends: Vec<BackendReport>,
    /// What was asked of pods that are to share the requests equally, each of which is a backend then; null elsewhere.
    pub evenness: Option<EvennessReport>,
    /// What was asked of the pods of backends that are to share their requests equally, beside the split; empty elsewhere.
    pub evenness_by_backend: Vec<BackendEvennessReport>,
    /// The workloads that answered and are no backend of the split, or may be none, by name.
    pub unmapped: Vec<UnmappedReport>,
    /// One row for each pod that answered, by name.
    pub pods: Vec<PodReport>,
    /// The limits on the backends' health that were asked for, and whether they were kept.
    pub limits: Vec<LimitReport>,
    /// Which workload was taken for which backend, and why.
    pub assignment: Vec<AssignmentReport>,
    /// What became of the requests.
    pub requests: RequestsReport,
    /// The connections; null when lbtest did not measure.
    pub connections: Option<ConnectionsReport>,
    /// One row for each address that was dialled.
    pub addresses: Vec<AddressReport>,
    /// Whole responses a second; null when lbtest did not measure.
    pub throughput_per_second: Option<f64>,
    /// The latency of whole responses; null when lbtest did not measure.
    pub latency: Option<LatencyReport>,
    /// Further things noticed, which do not decide the verdict by themselves.
    pub findings: Vec<Finding>,
    /// Identified responses by backend over blocks of the dispatch order.
    pub windows: Vec<WindowReport>,
    /// Which part of a run this is of, whose verdict is `measured`; null for a whole run.
    pub shard: Option<ShardReport>,
    /// Whether the shards of a merged run saw one split; null for others.
    pub shard_agreement: Option<ShardAgreementReport>,
    /// How requests were marked, whose answers `lbtest analyze --run` finds in the pods' logs; null for others.
    pub marks: Option<MarksReport>,
    /// What `lbtest merge` takes from the report of a shard, or of shards that it merged; null for others.
    pub measurement: Option<Measurement>,
}

/// A report among those that one document shows.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// What the user calls the check; `None` when there is only one.
    pub name: Option<&'a str>,
    /// Its report.
    pub report: &'a Report,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Tool {
    /// `lbtest`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// This program.
    pub fn own() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A sentence with a code for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Coded {
    /// Stable, `snake_case`.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// Something noticed, with its figures.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// Stable, `snake_case`.
    pub code: String,
    /// For a person.
    pub message: String,
    /// The figures behind it, by name.
    pub evidence: BTreeMap<String, f64>,
    /// The codes of further causes that the data do not tell from this one.
    pub tied_with: Vec<String>,
    /// The message without the change that a reason may have told.
    #[serde(skip)]
    pub rest: String,
    /// What to do after a FAIL.
    #[serde(skip)]
    pub next: Option<&'static str>,
}

/// Where requests were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TargetReport {
    /// The URL.
    pub url: String,
    /// The `Host` header.
    pub host: String,
    /// The addresses that were dialled in turn.
    pub addresses: Vec<String>,
    /// What was spoken: `http/1.1`, `h2`, `grpc` or `tcp`.
    pub protocol: &'static str,
    /// The name that TLS asked for; null without TLS.
    pub tls_server_name: Option<String>,
}

/// What was planned.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanReport {
    /// Requests to attribute; null when a duration alone bounded the run.
    pub requests: Option<u64>,
    /// How long requests were to be sent; null when a number of requests bounded the run.
    pub duration_seconds: Option<f64>,
    /// When the run would have given up; null when lbtest did not measure.
    pub max_duration_seconds: Option<f64>,
    /// How long the target was polled at most until every backend had answered; null for not at all.
    pub wait_ready_seconds: Option<f64>,
    /// Requests of warm-up, which are set aside; null for none, or where a time was given.
    pub warmup_requests: Option<u64>,
    /// Time of warm-up, whose requests are set aside; null for none, or where a number was given.
    pub warmup_seconds: Option<f64>,
    /// Connections, or requests in flight where each has its own, wanted at once; null when lbtest did not
    /// measure.
    pub concurrency: Option<u64>,
    /// Requests in flight at once on one connection; null when lbtest did not measure.
    pub streams: Option<u64>,
    /// Client threads; null when lbtest did not measure.
    pub threads: Option<u64>,
    /// Open-loop pace; null for as fast as responses come.
    pub rate_per_second: Option<f64>,
    /// Requests a connection carries; null for unlimited, or when lbtest did not measure.
    pub requests_per_connection: Option<u64>,
    /// How many requests without an identity are replaced at most; null when not bounded.
    pub replacements: Option<u64>,
    /// What a verdict promises, in words; null when the number of requests was not planned.
    pub promise: Option<String>,
    /// The promised error rate.
    pub alpha: f64,
    /// The smallest shift that a PASS rules out.
    pub tolerance_share: f64,
    /// What PASS claims.
    pub judge: &'static str,
    /// Whether the run stops as soon as the evidence is enough.
    pub sequential: bool,
    /// The share of responses without identity beyond which a run cannot pass.
    pub max_unattributed_share: f64,
    /// The seed of Monte Carlo and permutations.
    pub seed: u64,
}

/// The tests of the observed split.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TestReport {
    /// Where `p_value` comes from.
    pub method: &'static str,
    /// The p-value that gates: small when the expected split does not explain the counts.
    pub p_value: f64,
    /// Its decimal logarithm, for values too small for a double; null when the p-value is exactly 0.
    pub log10_p_value: Option<f64>,
    /// The p-value that a FAIL rests on, whatever the responses without an identity could have been; 0
    /// where a FAIL is certain.
    pub fail_p_value: f64,
    /// Pearson's test, always shown beside it.
    pub chi_square: ChiSquareReport,
    /// Small when a shift of the tolerance or more is ruled out for every backend.
    pub equivalence_p_value: f64,
    /// How much the variance of the counts exceeds that of independent responses, since responses on one
    /// connection depend on each other; null with a connection for every request.
    pub design_effect: Option<f64>,
    /// The number of independent responses that carry the same information; null as above.
    pub effective_responses: Option<f64>,
}

/// The evidence on which a sequential run stopped.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SequentialReport {
    /// The responses looked at, those without an identity included.
    pub stopped_after: u64,
    /// The number of responses after which it would have ended without a verdict.
    pub cap: u64,
    /// The decimal logarithm of the e-value against the expected split; null when infinite.
    pub log10_e_value: Option<f64>,
    /// What it must reach for FAIL: log10 of 1/alpha. For PASS `largest_face_log10` must fall to its
    /// negative.
    pub log10_bound: f64,
    /// The largest log10 likelihood ratio of a shift by the tolerance against the expected split; null
    /// when infinite.
    pub largest_face_log10: Option<f64>,
}

/// Whether the split changed during the run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChangeReport {
    /// Small when it did.
    pub drift_p_value: f64,
    /// A difference of this much or more between the shares of the first and the second half is refuted at `alpha`, for every
    /// backend; null for a sequential run, and for a log.
    pub refuted_difference: Option<f64>,
    /// About where, counted in identified responses in dispatch order; null when the drift is not
    /// significant.
    pub request: Option<u64>,
    /// The shares before, in the order of `backends`; empty when the drift is not significant.
    pub shares_before: Vec<f64>,
    /// The shares after.
    pub shares_after: Vec<f64>,
}

/// Pearson's chi-square test.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChiSquareReport {
    /// X²; null when it is infinite.
    pub statistic: Option<f64>,
    /// Why `statistic` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic_reason: Option<String>,
    /// Backends with a positive weight, less one.
    pub degrees_of_freedom: u64,
    /// The upper tail of the χ² distribution.
    pub p_value: f64,
    /// Its decimal logarithm; null when the p-value is exactly 0.
    pub log10_p_value: Option<f64>,
}

/// What became of the requests; `sent = attributed + unattributed + set_aside`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RequestsReport {
    /// Requests that were written.
    pub sent: u64,
    /// Those whose response named a pod.
    pub attributed: u64,
    /// Those without: a response that names no pod, or none at all.
    pub unattributed: u64,
    /// Those that do not count for the split, whatever came back: warm-up, and what a rate limiter spoilt.
    pub set_aside: u64,
    /// Why they do not: `discovery`, `wait_ready`, `warmup`, `limiter_probe`, `before_pacing`.
    pub set_aside_by_reason: BTreeMap<String, u64>,
    /// Those of them whose response named a pod.
    pub set_aside_identified: u64,
    /// Those of them that a rate limiter spoilt, by backend: where a limit rejects the requests of one backend alone, its share
    /// of these is short.
    pub set_aside_by_backend: BTreeMap<String, u64>,
    /// Whole responses to them by status.
    pub set_aside_by_status: BTreeMap<String, u64>,
    /// Those of them without a whole response, and those that were never written, by kind of failure.
    pub set_aside_by_failure: BTreeMap<String, u64>,
    /// Requests that were never written, since no connection came about.
    pub never_sent: u64,
    /// Whole responses by status, those set aside not counted, as in what follows.
    pub by_status: BTreeMap<String, u64>,
    /// Whole responses without an identity by status.
    pub unidentified_by_status: BTreeMap<String, u64>,
    /// Requests without a whole response by kind of failure.
    pub by_failure: BTreeMap<String, u64>,
}

/// The connections of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ConnectionsReport {
    /// Opened for requests.
    pub opened: u64,
    /// Requests sent again on another connection, since theirs had closed before they were written, or its peer said
    /// that it had not looked at them.
    pub reopened: u64,
    /// Requests that a connection carried on average; null when none was opened.
    pub requests_per_connection: Option<f64>,
    /// The most that were open at once (each client thread's most, summed): what was achieved of
    /// `plan.concurrency`.
    pub most_open: u64,
}

/// A latency distribution.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LatencyReport {
    /// The mean; null when there was no response, as the others.
    pub mean_seconds: Option<f64>,
    /// The median.
    pub p50_seconds: Option<f64>,
    /// 90 % came within this.
    pub p90_seconds: Option<f64>,
    /// 99 % came within this.
    pub p99_seconds: Option<f64>,
    /// 99.9 % came within this.
    pub p999_seconds: Option<f64>,
    /// The longest.
    pub max_seconds: Option<f64>,
    /// The whole distribution: `HdrHistogram` V2 deflate, base64, microseconds.
    pub histogram: String,
}

impl Report {
    /// The reasons for a person: of a FAIL, a finding that says what failed leaves nothing to say of answers without identity.
    fn told_reasons(&self) -> impl Iterator<Item = &Coded> {
        const OF_THEM: [&str; 2] = ["unattributed", "responses_without_identity"];
        const SAYS_SO: [&str; 3] = [
            "canary_failing",
            "primary_failing",
            "backend_not_identified",
        ];
        let mut findings = self.findings.iter();
        let is_said = self.verdict == VerdictName::Fail
            && findings.any(|finding| SAYS_SO.contains(&&*finding.code));
        let reasons = self.reasons.iter();
        reasons.filter(move |reason| !is_said || !OF_THEM.contains(&&*reason.code))
    }

    /// The findings for a person, who has read the reasons already, and what is left to say of each.
    fn shown_findings(&self) -> impl Iterator<Item = (&Finding, &str)> {
        const PLACE: &str = "the split changed at about";
        let mut reasons = self.reasons.iter();
        let is_told = reasons.any(|reason| reason.message.starts_with(PLACE));
        let left = self.findings.iter().filter(|finding| {
            let mut reasons = self.reasons.iter();
            reasons.all(|reason| reason.message != finding.message)
        });
        left.map(move |finding| {
            let message = if is_told {
                &finding.rest
            } else {
                &finding.message
            };
            (finding, &**message)
        })
    }

    /// What to do after a FAIL, where neither the reasons nor the findings say so.
    fn next_step(&self) -> Option<&'static str> {
        let next = self
            .findings
            .first()
            .map_or(Some(WEIGHTS), |first| first.next);
        next.filter(|_| self.verdict == VerdictName::Fail)
    }

    /// A line on how steady a split was that passed; empty for others.
    fn halves(&self) -> String {
        let change = self
            .change
            .as_ref()
            .filter(|_| self.verdict == VerdictName::Pass);
        let refuted = change.and_then(|change| change.refuted_difference);
        refuted.map_or_else(String::new, |refuted| {
            let most = points((1e3 * refuted).ceil() / 1e3);
            format!("\n  first and second half of the run: apart by less than {most}")
        })
    }

    /// What its `errors` are, as the end of "responses with …".
    fn of_errors(&self) -> &'static str {
        let protocol = self.target.as_ref().map(|target| target.protocol);
        status::of_errors(protocol == Some(Protocol::Grpc.name()))
    }
}
