//! What to do after a run that fails, where neither the reasons nor the findings say so.

use super::{Report, VerdictName};

const WEIGHTS: &str = "see which weights the ingress has; lbtest lint FILES tells what it ignores";
const LOGS: &str = "read the logs of the backend that fails, and check again when it answers";

/// The next step; `None` where it was said, or nothing is to be done.
pub(super) fn next_step(report: &Report) -> Option<&'static str> {
    if report.verdict != VerdictName::Fail {
        return None;
    }
    let first = report.findings.first();
    match first.map_or("split_off", |finding| &*finding.code) {
        "split_off"
        | "unexplained"
        | "equal_weights"
        | "uniform_over_pods"
        | "replica_ratio"
        | "canary_weight_total_ignored"
        | "zero_weight_leak" => Some(WEIGHTS),
        "weights_swapped" => Some("see which backend is which, and then its weight"),
        "canary_failing" | "primary_failing" | "backend_errors" | "primary_dead" => Some(LOGS),
        "canary_absent" | "primary_bypassed" => {
            Some("see whether its pods are ready, and whether its rule applies")
        }
        _ => None,
    }
}
