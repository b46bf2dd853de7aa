//! The tables of names and what they are: target, plan, test, run.

use serde::Serialize;

use super::{sentence, shown};
use crate::format::{p_value, p_value_with_log10, percent, points, time};
use crate::report::stickiness::StickinessReport;
use crate::report::{PlanReport, Report};

/// A name and what it is.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    name: &'static str,
    value: String,
}

impl Pair {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }
}

pub(super) fn target(report: &Report) -> Vec<Pair> {
    let Some(target) = &report.target else {
        return Vec::new();
    };
    let mut pairs = vec![
        Pair::new("URL", sentence(&target.url)),
        Pair::new("Host", shown(&target.host)),
    ];
    if !target.addresses.is_empty() {
        pairs.push(Pair::new(
            "addresses",
            sentence(&target.addresses.join(", ")),
        ));
    }
    pairs
}

pub(super) fn plan(plan: &PlanReport) -> Vec<Pair> {
    let number = |count: Option<u64>| count.map(|count| count.to_string());
    let known = [
        ("requests", number(plan.requests)),
        ("duration", plan.duration_seconds.map(time)),
        ("given up after", plan.max_duration_seconds.map(time)),
        ("in flight at once", number(plan.concurrency)),
        ("client threads", number(plan.threads)),
        (
            "pace",
            plan.rate_per_second.map(|rate| format!("{rate:.1}/s")),
        ),
        (
            "requests a connection",
            number(plan.requests_per_connection),
        ),
    ];
    let mut pairs: Vec<Pair> = known
        .into_iter()
        .filter_map(|(name, value)| Some(Pair::new(name, value?)))
        .collect();
    pairs.push(Pair::new("alpha", plan.alpha.to_string()));
    pairs.push(Pair::new("tolerance", points(plan.tolerance_share)));
    pairs.push(Pair::new("judge", plan.judge));
    pairs.push(Pair::new(
        "sequential",
        if plan.sequential { "yes" } else { "no" },
    ));
    pairs.push(Pair::new(
        "most without identity",
        percent(plan.max_unattributed_share),
    ));
    pairs.push(Pair::new("seed", plan.seed.to_string()));
    pairs
}

/// What the verdict on sessions rests on.
fn sessions(stickiness: &StickinessReport) -> Vec<Pair> {
    let began = stickiness.sessions_by_backend.iter();
    let began: Vec<String> = began
        .map(|(label, count)| format!("{} {count}", shown(label)))
        .collect();
    vec![
        Pair::new("sessions", stickiness.sessions.to_string()),
        Pair::new("began on", began.join(", ")),
        Pair::new("carried by", shown(&stickiness.by)),
        Pair::new(
            "sent back",
            match stickiness.carried.len() {
                0 => "nothing".to_owned(),
                _ => shown(&stickiness.carried.join(", ")),
            },
        ),
        Pair::new("moved", stickiness.moved.to_string()),
        Pair::new("in doubt", stickiness.in_doubt.to_string()),
        Pair::new("nothing to send back", stickiness.uncarried.to_string()),
        Pair::new("needed for a PASS", stickiness.needed_sessions.to_string()),
        Pair::new("share to rule out", points(stickiness.rate_share)),
        Pair::new("its p", p_value(stickiness.p_value)),
    ]
}

pub(super) fn test(report: &Report) -> Vec<Pair> {
    if let Some(stickiness) = &report.stickiness {
        return sessions(stickiness);
    }
    let Some(test) = &report.test else {
        return Vec::new();
    };
    let chi_square = &test.chi_square;
    let statistic = chi_square.statistic;
    let mut pairs = vec![
        Pair::new("method", test.method.replace('_', " ")),
        Pair::new(
            "goodness of fit p",
            p_value_with_log10(test.p_value, test.log10_p_value),
        ),
        Pair::new("equivalence p", p_value(test.equivalence_p_value)),
        Pair::new(
            "Pearson's X²",
            statistic.map_or_else(|| "∞".to_owned(), |x| format!("{x:.4}")),
        ),
        Pair::new(
            "degrees of freedom",
            chi_square.degrees_of_freedom.to_string(),
        ),
        Pair::new(
            "its p",
            p_value_with_log10(chi_square.p_value, chi_square.log10_p_value),
        ),
    ];
    if let Some(design_effect) = test.design_effect {
        pairs.push(Pair::new("design effect", format!("{design_effect:.2}")));
    }
    if let Some(change) = &report.change {
        pairs.push(Pair::new("drift p", p_value(change.drift_p_value)));
    }
    if let Some(sequential) = &report.sequential {
        pairs.push(Pair::new(
            "stopped after",
            format!("{} of at most {}", sequential.stopped_after, sequential.cap),
        ));
    }
    pairs
}

pub(super) fn run(report: &Report) -> Vec<Pair> {
    let requests = &report.requests;
    let mut pairs = vec![Pair::new("run", shown(&report.run_id))];
    for (name, count) in [
        ("sent", requests.sent),
        ("attributed", requests.attributed),
        ("without identity", requests.unattributed),
        ("set aside", requests.set_aside),
        ("never sent", requests.never_sent),
    ] {
        pairs.push(Pair::new(name, count.to_string()));
    }
    if let Some(rate) = report.throughput_per_second {
        pairs.push(Pair::new("responses a second", format!("{rate:.0}")));
    }
    if let Some(connections) = &report.connections {
        let told = format!(
            "{} opened, {} reopened",
            connections.opened, connections.reopened
        );
        pairs.push(Pair::new("connections", told));
    }
    for (name, counts) in [
        ("statuses", &requests.by_status),
        ("failures", &requests.by_failure),
    ] {
        let told: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{} × {count}", shown(name)))
            .collect();
        if !told.is_empty() {
            pairs.push(Pair::new(name, told.join(", ")));
        }
    }
    pairs
}
