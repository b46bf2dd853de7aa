//! The charts of the HTML report, as SVG that needs neither scripts nor anything from outside.
//!
//! All are [`WIDTH`] units wide and scale with the page. Colours come from the page's style sheet by
//! class, so that they follow light, dark and print; what a chart shows is never told by colour alone.

mod axis;
mod latency;
mod pods;
mod running;
mod shift;
pub(super) mod staircase;
mod svg;
mod windows;

pub(super) use windows::{Bar, bars};

use serde::Serialize;

use crate::report::escape::terminal;
use crate::report::names::cut_within;
use crate::report::{BackendReport, Report};

/// The width of every chart, in its own units.
const WIDTH: f64 = 440.0;
/// Space at the left and right end, for labels that stand out.
const MARGIN: f64 = 14.0;
/// Backends beyond this number have no row, band or colour of their own.
pub(super) const MOST_SERIES: usize = 6;

/// A chart and what it says.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Chart {
    /// What it shows, in one word.
    pub(super) kind: &'static str,
    /// Its heading.
    pub(super) title: String,
    /// How to read it, below the chart.
    pub(super) caption: String,
    /// The drawing; escaped already.
    pub(super) svg: String,
}

/// Every chart that the report has the figures for; `section` tells the page's reports apart.
pub(super) fn charts(report: &Report, section: usize) -> Vec<Chart> {
    let charts = [
        // Of pods their own chart shows more than the first few.
        shift::chart(report, section).filter(|_| report.evenness.is_none()),
        pods::chart(report, section),
        // Its funnel is for responses that are independent.
        running::chart(report, section).filter(|_| report.stickiness.is_none()),
        windows::chart(report, section),
        latency::chart(report, section),
    ];
    charts.into_iter().flatten().collect()
}

/// The backends that have a row of their own, with their places in the report: the first, as the user
/// listed them.
fn shown(report: &Report) -> impl Iterator<Item = (usize, &BackendReport)> {
    report.backends.iter().enumerate().take(MOST_SERIES)
}

/// A sentence about the backends that have none; empty when all have.
fn left_out(report: &Report) -> String {
    match report.backends.len().checked_sub(MOST_SERIES + 1) {
        Some(more) => format!(" {} more backends stand in the table.", more + 1),
        None => String::new(),
    }
}

/// A label that fits beside another text.
fn short(label: &str) -> String {
    cut_within(&terminal(label), 22)
}
