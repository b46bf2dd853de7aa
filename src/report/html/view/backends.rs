//! The backends of a report, a row each.

use serde::Serialize;

use super::{or_dash, sentence, shown};
use crate::format::{percent, points, time};
use crate::report::standing::{self, Standing, standing};
use crate::report::text::{MOST_PODS as MOST_ROWS, interval};
use crate::report::{BackendReport, Report};

/// A backend.
#[derive(Debug, Serialize)]
pub(super) struct BackendRow {
    label: String,
    workload: String,
    /// `None` where its share is not judged.
    standing: Option<&'static str>,
    expected: String,
    tolerance: String,
    observed: u64,
    share: String,
    interval: String,
    p50: String,
    p99: String,
    errors: String,
    /// The same in words.
    sentence: String,
}

/// A row for each backend; of pods that are to share equally, sorted by share, those that get most and least.
pub(super) fn backends(report: &Report) -> Vec<BackendRow> {
    let mut backends: Vec<&BackendReport> = report.backends.iter().collect();
    let row = |backend: &&BackendReport| BackendRow::of(report, backend);
    if report.evenness.is_some() {
        backends.sort_by_key(|backend| std::cmp::Reverse(backend.observed));
    }
    if report.evenness.is_none() || backends.len() <= MOST_ROWS {
        return backends.iter().map(row).collect();
    }
    let (most, rest) = backends.split_at(MOST_ROWS / 2);
    let (between, least) = rest.split_at(rest.len() - MOST_ROWS / 2);
    let mut rows: Vec<BackendRow> = most.iter().map(row).collect();
    rows.push(BackendRow::folded(between));
    rows.extend(least.iter().map(row));
    rows
}

impl BackendRow {
    /// Those that have no row of their own.
    fn folded(backends: &[&BackendReport]) -> Self {
        let none = || or_dash(None);
        Self {
            label: format!("… {} more", backends.len()),
            workload: none(),
            standing: None,
            expected: none(),
            tolerance: none(),
            observed: backends.iter().map(|backend| backend.observed).sum(),
            share: none(),
            interval: none(),
            p50: none(),
            p99: none(),
            sentence: String::new(),
            errors: none(),
        }
    }

    fn of(report: &Report, backend: &BackendReport) -> Self {
        let standing = match standing(report, backend) {
            Standing::Fits => Some("fits"),
            Standing::Off => Some("off"),
            Standing::Unsettled => Some("unsettled"),
            Standing::NotJudged => None,
        };
        Self {
            label: shown(&backend.label),
            workload: or_dash(backend.workload.as_deref().map(shown)),
            standing,
            expected: percent(backend.expected_share),
            tolerance: points(backend.tolerance_share),
            observed: backend.observed,
            share: or_dash(backend.share.map(|share| format!("{:.2} %", share * 100.0))),
            // Its unit stays with it.
            interval: or_dash(interval(backend).map(|message| message.replace(" %", "\u{a0}%"))),
            p50: or_dash(backend.latency_p50_seconds.map(time)),
            p99: or_dash(backend.latency_p99_seconds.map(time)),
            sentence: sentence(&standing::sentence(backend)),
            errors: or_dash((backend.observed > 0).then(|| backend.errors.to_string())),
        }
    }
}
