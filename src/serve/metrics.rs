//! What `/metrics` tells: the last report of every check, and the gate's own figures.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::ACCEPT;

use super::Shared;
use super::board::State;
use super::moment::Moment;
use crate::report::Named;
use crate::report::metrics::Sample;
use crate::report::openmetrics::{self, Format};

/// Requests by resource and status.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<BTreeMap<(&'static str, u16), u64>>);

impl Requests {
    /// Counts one request.
    pub(super) fn count(&self, resource: &'static str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((resource, status)).or_default() += 1;
    }

    fn samples(&self) -> Vec<Sample> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = |(&(resource, status), &count): (&(&'static str, u16), &u64)| Sample {
            labels: vec![
                ("resource", resource.to_owned()),
                ("status", status.to_string()),
            ],
            value: count as f64,
        };
        counts.iter().map(sample).collect()
    }
}

/// The format that a scraper takes. Prometheus names OpenMetrics when it does; people and promtool don't.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let takes = |value: &http::HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.contains("application/openmetrics-text")
    };
    if headers.get_all(ACCEPT).iter().any(takes) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// The document. A report that is too old to be told is left out, so that no old PASS is drawn.
pub(super) fn render(shared: &Shared, format: Format, now: Moment) -> String {
    let board = shared.board();
    let states = || shared.checks.iter().zip(board.states());
    let reports: Vec<Named<'_>> = states()
        .filter_map(|(check, state)| {
            let report = state.report(now)?;
            let name = Some(&*check.name);
            Some(Named { name, report })
        })
        .collect();
    let mut out = String::new();
    openmetrics::write_reports(&mut out, &reports);
    let gauge = |value: fn(&State) -> f64| -> Vec<Sample> {
        let sample = |(check, state): (&super::NamedCheck, &State)| Sample {
            labels: vec![("check", check.name.clone())],
            value: value(state),
        };
        states().map(sample).collect()
    };
    openmetrics::write_gauge(
        &mut out,
        "lbtest_serve_running",
        "1 while a run of the check is under way, else 0.",
        &gauge(|state| f64::from(u8::from(state.is_running()))),
    );
    openmetrics::write_gauge(
        &mut out,
        "lbtest_serve_queued",
        "Splits of the check that wait for their run.",
        &gauge(|state| state.queued() as f64),
    );
    let ended = states().flat_map(|(check, state)| {
        state.ended().iter().map(|(verdict, &count)| Sample {
            labels: vec![
                ("check", check.name.clone()),
                ("verdict", (*verdict).to_owned()),
            ],
            value: count as f64,
        })
    });
    openmetrics::write_counter(
        &mut out,
        format,
        "lbtest_serve_runs",
        "Runs of the check that have ended, by verdict.",
        &ended.collect::<Vec<_>>(),
    );
    openmetrics::write_counter(
        &mut out,
        format,
        "lbtest_serve_requests",
        "Requests that were answered, by resource and status.",
        &shared.requests.samples(),
    );
    out.push_str(openmetrics::END);
    out
}
