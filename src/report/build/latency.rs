//! How long responses took.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::report::LatencyReport;
use crate::tally::latency::Latency;

pub(super) fn latency(latency: &Latency) -> LatencyReport {
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

pub(super) fn histogram(latency: &Latency) -> String {
    STANDARD.encode(latency.to_hdr_v2_deflate())
}

pub(super) fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}
