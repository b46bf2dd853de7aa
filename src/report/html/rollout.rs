//! The page of a rollout that was followed: its verdict, the staircase, and a row for each step.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::chart::staircase;
use super::{POLICY, SCRIPT, STYLE, environment};
use crate::format::{count, time};
use crate::report::escape::terminal;
use crate::report::names::cut;
use crate::report::rollout::{RolloutReport, StepReport};
use crate::report::text::word;

const PAGE: &str = include_str!("rollout.html");

/// Longer sentences are cut.
const SENTENCE_WIDTH: usize = 600;

#[derive(Debug, Serialize)]
struct Row {
    step: u64,
    expect: String,
    source: String,
    verdict: &'static str,
    word: &'static str,
    asked_after: String,
    live_within: String,
    tests: u64,
    requests: u64,
    message: String,
}

impl Row {
    fn of(step: &StepReport) -> Self {
        let shown = |text: &str| cut(&terminal(text), SENTENCE_WIDTH);
        Self {
            step: step.step,
            expect: shown(&step.expect),
            source: shown(&step.source),
            verdict: step.verdict.code(),
            word: word(step.verdict),
            asked_after: time(step.asked_after_seconds),
            live_within: step
                .live_within_seconds
                .map_or_else(|| "–".to_owned(), time),
            tests: step.tests,
            requests: step.requests,
            message: shown(&step.message),
        }
    }
}

/// Writes the page.
///
/// # Panics
/// Never for lack of anything in the reports: the template is part of the program, and a test renders it.
pub fn render(report: &RolloutReport, steps: &[StepReport]) -> String {
    let environment = environment();
    let page = environment
        .template_from_str(PAGE)
        .expect("the template is valid");
    let chart = staircase::chart(steps, report.duration_seconds);
    let rows: Vec<Row> = steps.iter().map(Row::of).collect();
    page.render(context! {
        policy => POLICY.as_str(),
        style => STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
        verdict => report.verdict.code(),
        title => format!("{}: a rollout of {}", word(report.verdict), count(steps.len() as u64, "step")),
        word => word(report.verdict),
        message => cut(&terminal(&report.message), SENTENCE_WIDTH),
        interrupted => report.interrupted,
        took => time(report.duration_seconds),
        chart_title => chart.as_ref().map(|chart| chart.title.clone()),
        caption => chart.as_ref().map(|chart| chart.caption.clone()),
        svg => chart.map(|chart| Value::from_safe_string(chart.svg)),
        steps => Serde(rows),
    })
    .expect("the template uses what the context has")
}
