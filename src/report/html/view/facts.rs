//! The tables of names and what they are: target, plan, test, run.

use serde::Serialize;

use super::{sentence, shown};
use crate::format::{p_value, p_value_with_log10, percent, points, time};
use crate::report::stickiness::StickinessReport;
use crate::report::{PlanReport, Report};

/// A name and what it is.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }
}

pub(super) fn target(report: &Report) -> Vec<Fact> {
    let Some(target) = &report.target else {
        return Vec::new();
    };
    let mut facts = vec![
        Fact::new("URL", sentence(&target.url)),
        Fact::new("Host", shown(&target.host)),
    ];
    if !target.addresses.is_empty() {
        facts.push(Fact::new(
            "addresses",
            sentence(&target.addresses.join(", ")),
        ));
    }
    facts
}

pub(super) fn plan(plan: &PlanReport) -> Vec<Fact> {
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
    let mut facts: Vec<Fact> = known
        .into_iter()
        .filter_map(|(name, value)| Some(Fact::new(name, value?)))
        .collect();
    facts.push(Fact::new("alpha", plan.alpha.to_string()));
    facts.push(Fact::new("tolerance", points(plan.tolerance_share)));
    facts.push(Fact::new("judge", plan.judge));
    facts.push(Fact::new(
        "sequential",
        if plan.sequential { "yes" } else { "no" },
    ));
    facts.push(Fact::new(
        "most without identity",
        percent(plan.max_unattributed_share),
    ));
    facts.push(Fact::new("seed", plan.seed.to_string()));
    facts
}

/// What the verdict on sessions rests on.
fn sessions(stickiness: &StickinessReport) -> Vec<Fact> {
    let began = stickiness.sessions_by_backend.iter();
    let began: Vec<String> = began
        .map(|(label, count)| format!("{} {count}", shown(label)))
        .collect();
    vec![
        Fact::new("sessions", stickiness.sessions.to_string()),
        Fact::new("began on", began.join(", ")),
        Fact::new("carried by", shown(&stickiness.by)),
        Fact::new(
            "sent back",
            match stickiness.carried.len() {
                0 => "nothing".to_owned(),
                _ => shown(&stickiness.carried.join(", ")),
            },
        ),
        Fact::new("moved", stickiness.moved.to_string()),
        Fact::new("in doubt", stickiness.in_doubt.to_string()),
        Fact::new("nothing to send back", stickiness.uncarried.to_string()),
        Fact::new("needed for a PASS", stickiness.needed_sessions.to_string()),
        Fact::new("share to rule out", points(stickiness.rate_share)),
        Fact::new("its p", p_value(stickiness.p_value)),
    ]
}

pub(super) fn test(report: &Report) -> Vec<Fact> {
    if let Some(stickiness) = &report.stickiness {
        return sessions(stickiness);
    }
    let Some(test) = &report.test else {
        return Vec::new();
    };
    let chi_square = &test.chi_square;
    let statistic = chi_square.statistic;
    let mut facts = vec![
        Fact::new("method", test.method.replace('_', " ")),
        Fact::new(
            "goodness of fit p",
            p_value_with_log10(test.p_value, test.log10_p_value),
        ),
        Fact::new("equivalence p", p_value(test.equivalence_p_value)),
        Fact::new(
            "Pearson's X²",
            statistic.map_or_else(|| "∞".to_owned(), |x| format!("{x:.4}")),
        ),
        Fact::new(
            "degrees of freedom",
            chi_square.degrees_of_freedom.to_string(),
        ),
        Fact::new(
            "its p",
            p_value_with_log10(chi_square.p_value, chi_square.log10_p_value),
        ),
    ];
    if let Some(design_effect) = test.design_effect {
        facts.push(Fact::new("design effect", format!("{design_effect:.2}")));
    }
    if let Some(change) = &report.change {
        facts.push(Fact::new("drift p", p_value(change.drift_p_value)));
    }
    if let Some(sequential) = &report.sequential {
        facts.push(Fact::new(
            "stopped after",
            format!("{} of at most {}", sequential.stopped_after, sequential.cap),
        ));
    }
    facts
}

pub(super) fn run(report: &Report) -> Vec<Fact> {
    let requests = &report.requests;
    let mut facts = vec![Fact::new("run", shown(&report.run_id))];
    for (name, count) in [
        ("sent", requests.sent),
        ("attributed", requests.attributed),
        ("without identity", requests.unattributed),
        ("set aside", requests.set_aside),
        ("never sent", requests.never_sent),
    ] {
        facts.push(Fact::new(name, count.to_string()));
    }
    if let Some(rate) = report.throughput_per_second {
        facts.push(Fact::new("responses a second", format!("{rate:.0}")));
    }
    if let Some(connections) = &report.connections {
        let message = format!(
            "{} opened, {} reopened",
            connections.opened, connections.reopened
        );
        facts.push(Fact::new("connections", message));
    }
    for (name, counts) in [
        ("statuses", &requests.by_status),
        ("failures", &requests.by_failure),
    ] {
        let parts: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{} × {count}", shown(name)))
            .collect();
        if !parts.is_empty() {
            facts.push(Fact::new(name, parts.join(", ")));
        }
    }
    facts
}
