//! What a report lists: backends, pods and the workloads that they were taken from, addresses, and blocks of time.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Coded, TestReport, VerdictName};

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BackendReport {
    /// Its label in the expected split.
    pub label: String,
    /// The workloads that were taken for it, joined by commas; null when none was seen.
    pub workload: Option<String>,
    /// The share that it should get.
    pub expected_share: f64,
    /// The shift that a PASS rules out for it: the tolerance, or half its share if that is less.
    pub tolerance_share: f64,
    /// Identified responses.
    pub observed: u64,
    /// Of all identified responses; null when there were none.
    pub share: Option<f64>,
    /// The 95 % interval of the share; null when nothing was observed. Wilson's, over the effective number of responses
    /// where they depend on each other; of a sequential run a confidence sequence.
    pub interval_low: Option<f64>,
    /// Its upper end.
    pub interval_high: Option<f64>,
    /// The same for all backends at once (Goodman 1965); null when nothing was observed.
    pub simultaneous_low: Option<f64>,
    /// Its upper end.
    pub simultaneous_high: Option<f64>,
    /// For a backend of weight 0 that got nothing: the largest leak that the run does not rule out.
    pub leak_ruled_out_share: Option<f64>,
    /// Identified responses with a status of 500 or more, or one of gRPC's that blames the server.
    pub errors: u64,
    /// Of its identified responses; null when it had none.
    pub error_share: Option<f64>,
    /// Median latency; null when not measured.
    pub latency_p50_seconds: Option<f64>,
    /// 99 % of its responses came within this; null when not measured.
    pub latency_p99_seconds: Option<f64>,
    /// The whole distribution of its latencies, encoded as `latency.histogram`; null when not measured. It is
    /// long, and last: `jq '.backends[] | del(.latency_histogram)'` leaves it out.
    pub latency_histogram: Option<String>,
}

/// A limit on a backend's health: one of the two figures is given.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LimitReport {
    /// The backend's label.
    pub label: String,
    /// Its 99th latency percentile must not exceed this.
    pub max_p99_seconds: Option<f64>,
    /// Its share of `errors` must not exceed this.
    pub max_error_share: Option<f64>,
    /// `pass` when it was kept, `fail` when not, `inconclusive` when that is unknown.
    pub verdict: VerdictName,
    /// Why it is not `pass`; else null.
    pub reason: Option<Coded>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PodReport {
    /// As the responses name it.
    pub name: String,
    /// The backend that it was taken for; null when it fits none, or several.
    pub label: Option<String>,
    /// Identified responses.
    pub observed: u64,
    /// Of all identified responses; null when there were none.
    pub share: Option<f64>,
    /// The 95 % interval of the share, as of a backend; null when nothing was observed, and for sessions.
    pub interval_low: Option<f64>,
    /// Its upper end.
    pub interval_high: Option<f64>,
    /// Its share over the equal share, where pods are to share the requests equally, or those of their backend; null elsewhere.
    pub equal_share_ratio: Option<f64>,
}

/// Pods that are to share the requests equally.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EvennessReport {
    /// How many are expected.
    pub pods_expected: u64,
    /// How many answered.
    pub pods_seen: u64,
    /// The smallest deviation, as a part of the equal share, that a PASS rules out.
    pub tolerance_ratio: f64,
    /// The largest share over the equal share; null when nothing was observed.
    pub hottest_ratio: Option<f64>,
    /// The smallest.
    pub coldest_ratio: Option<f64>,
}

/// The pods of a backend that are to share its requests equally.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BackendEvennessReport {
    /// The backend.
    pub label: String,
    /// How many pods are expected.
    pub pods_expected: u64,
    /// How many answered.
    pub pods_seen: u64,
    /// The smallest deviation, as a part of the equal share, that a PASS rules out.
    pub tolerance_ratio: f64,
    /// The largest share over the equal share; null when nothing was observed.
    pub hottest_ratio: Option<f64>,
    /// The smallest.
    pub coldest_ratio: Option<f64>,
    /// What follows for these pods alone.
    pub verdict: VerdictName,
    /// The test; null when nothing was attributed.
    pub test: Option<TestReport>,
}

/// One workload and the backend that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AssignmentReport {
    /// The workload.
    pub workload: String,
    /// The backend; null when it fits none, or several.
    pub label: Option<String>,
    /// Why.
    pub reason: String,
}

impl AssignmentReport {
    /// Why, in words: manifests and the demo give backends their workloads as `--backend` does.
    pub(super) fn basis(&self) -> &str {
        match &*self.reason {
            "--backend" => "given",
            reason => reason,
        }
    }
}

/// What one address of the target brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AddressReport {
    /// `IP:PORT`, or the path of a socket.
    pub address: String,
    /// Connections that were opened.
    pub connections: u64,
    /// Dials that failed.
    pub failed_dials: u64,
    /// Identified responses by backend, in the order of `backends`; those of a workload that could be
    /// several backends are in none.
    pub counts: Vec<u64>,
    /// Whole responses without an identity.
    pub unidentified: u64,
    /// Requests on open connections that brought no whole response.
    pub failed: u64,
}

/// A workload that is no backend of the split, or may be none.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct UnmappedReport {
    /// Its name.
    pub workload: String,
    /// Its identified responses.
    pub observed: u64,
    /// Their share of all identified responses.
    pub share: Option<f64>,
}

/// What a block of the dispatch order brought.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WindowReport {
    /// When its first request was dispatched, from the start of the run.
    pub start_seconds: f64,
    /// By backend, in the order of `backends`.
    pub counts: Vec<u64>,
    /// Those of workloads that are no backend of the split, or may be none.
    pub unmapped: u64,
    /// Requests that were sent and brought no identity.
    pub unidentified: u64,
}
