//! The Markdown rendering, for a job summary such as `$GITHUB_STEP_SUMMARY`.

use std::fmt::Write;

use super::checks::{COLUMNS, ChecksReport};
use super::escape::markdown;
use super::names::cut;
use super::text::{MOST_UNMAPPED, figures, listed, share, word};
use super::{BackendReport, Named, Report, UnmappedReport};
use crate::format::{count, time};

/// GitHub refuses a step's summary beyond this many bytes, which all commands of the step share
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).
pub const MOST_BYTES: usize = 1024 * 1024;

/// Pods beyond this number are counted, not listed.
const MOST_PODS: usize = 100;
/// Longer names are cut.
const NAME_WIDTH: usize = 80;
/// Longer sentences are cut.
const SENTENCE_WIDTH: usize = 2000;
/// Room for the line that says what was left out.
const RESERVED: usize = 100;

/// Writes what follows from several checks together, then a section for each report, as many as fit in
/// `room` bytes.
pub fn render(reports: &[Named<'_>], whole: Option<&ChecksReport>, room: usize) -> String {
    let Some(room) = room.min(MOST_BYTES).checked_sub(RESERVED) else {
        return String::new();
    };
    let mut out = whole.map_or_else(String::new, whole_section);
    if out.len() > room {
        out.clear();
    }
    for (index, named) in reports.iter().enumerate() {
        let section = section(named);
        if out.len() + section.len() > room {
            let left = count((reports.len() - index) as u64, "more report");
            let _ = writeln!(out, "No room is left in the summary for {left} of lbtest.");
            break;
        }
        out.push_str(&section);
    }
    out
}

/// What follows from several checks together.
fn whole_section(whole: &ChecksReport) -> String {
    let mut out = String::new();
    let word = word(whole.verdict);
    let checks = count(whole.checks.len() as u64, "check");
    let _ = writeln!(out, "## {word} – {checks}\n");
    for (index, reason) in whole.reasons.iter().enumerate() {
        let text = sentence(&reason.message);
        let _ = match index {
            0 => writeln!(out, "**{text}**\n"),
            _ => writeln!(out, "- {text}"),
        };
    }
    let _ = writeln!(out, "\n| {} |\n|:--|:--|--:|--:|--:|", COLUMNS.join(" | "));
    for check in &whole.checks {
        let row = check.row().map(|cell| field(&cell));
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
    out
}

/// Writing to a `String` cannot fail.
fn section(named: &Named<'_>) -> String {
    let report = named.report;
    let mut out = String::new();
    let name = match (named.name, &report.target) {
        (Some(name), _) => format!(" – {}", field(name)),
        (None, Some(target)) => format!(" – {}", field(&target.host)),
        (None, None) => String::new(),
    };
    let _ = writeln!(out, "## {}{name}\n", word(report.verdict));
    let mut reasons = report.reasons.iter().map(|reason| &*reason.message);
    if let Some(first) = reasons.next() {
        let _ = writeln!(out, "**{}**\n", sentence(first));
    }
    let findings = report.shown_findings().map(|(_, message)| message);
    let further: Vec<&str> = reasons.chain(findings).collect();
    for message in &further {
        let _ = writeln!(out, "- {}", sentence(message));
    }
    if !further.is_empty() {
        out.push('\n');
    }
    if report.requests.attributed > 0 {
        backends(&mut out, &report.backends, &report.unmapped);
    }
    if let Some(stickiness) = &report.stickiness {
        let _ = writeln!(out, "Sessions: {}.\n", sentence(&stickiness.sentence()));
    }
    if let Some(promise) = &report.plan.promise {
        let _ = writeln!(out, "Promise: {}.\n", sentence(promise));
    }
    details(&mut out, report);
    out
}

fn backends(out: &mut String, backends: &[BackendReport], unmapped: &[UnmappedReport]) {
    out.push_str(
        "| backend | workload | expected | observed | share | 95 % interval | p50 | p99 | errors |\n\
         |:--|:--|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for backend in backends {
        let workload = backend.workload.as_deref();
        let figures = figures(backend).map(or_dash);
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            field(&backend.label),
            or_dash(workload.map(field)),
            figures.join(" | "),
        );
    }
    for other in unmapped.iter().take(MOST_UNMAPPED) {
        let share = or_dash(share(other.share));
        let (workload, observed) = (field(&other.workload), other.observed);
        let _ = writeln!(
            out,
            "| – | {workload} | – | {observed} | {share} | – | – | – | – |"
        );
    }
    out.push('\n');
}

fn details(out: &mut String, report: &Report) {
    let requests = &report.requests;
    let _ = writeln!(
        out,
        "<details><summary>{}, {}</summary>\n",
        count(requests.sent, "request"),
        count(report.pods.len() as u64, "pod")
    );
    let _ = writeln!(
        out,
        "- requests: {} sent, {} attributed, {} without identity, {} never sent",
        requests.sent, requests.attributed, requests.unattributed, requests.never_sent
    );
    if requests.set_aside > 0 {
        let _ = writeln!(
            out,
            "- set aside: {} of the sent, {} of them identified ({})",
            requests.set_aside,
            requests.set_aside_identified,
            listed(&requests.set_aside_by_reason, field)
        );
    }
    if let Some(rate) = report.throughput_per_second {
        let duration = time(report.duration_seconds);
        let _ = writeln!(out, "- {duration}, {rate:.0} responses a second");
    }
    for (title, counts) in [
        ("statuses", &requests.by_status),
        ("failures", &requests.by_failure),
    ] {
        if !counts.is_empty() {
            let _ = writeln!(out, "- {title}: {}", listed(counts, field));
        }
    }
    if let Some(target) = &report.target {
        let (url, host) = (sentence(&target.url), field(&target.host));
        let _ = writeln!(out, "- target: {url}, host {host}");
    }
    let _ = writeln!(out, "- run: {}", field(&report.run_id));
    if !report.pods.is_empty() {
        out.push_str("\n| pod | backend | observed |\n|:--|:--|--:|\n");
    }
    for pod in report.pods.iter().take(MOST_PODS) {
        let label = or_dash(pod.label.as_deref().map(field));
        let _ = writeln!(out, "| {} | {label} | {} |", field(&pod.name), pod.observed);
    }
    if let Some(more) = report.pods.len().checked_sub(MOST_PODS + 1) {
        let _ = writeln!(out, "\nand {} more pods", more + 1);
    }
    out.push_str("\n</details>\n\n");
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "–".to_owned())
}

fn field(name: &str) -> String {
    markdown(&cut(name, NAME_WIDTH))
}

fn sentence(text: &str) -> String {
    markdown(&cut(text, SENTENCE_WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::tests::claim;
    use crate::verdict::{Evidence, judge_counts};

    #[test]
    fn sections_that_do_not_fit_are_counted() {
        let (claim, evidence) = (claim("a=50,b=50"), Evidence::default());
        let report = Report::of_counts(&claim, &evidence, &judge_counts(&claim, &evidence));
        let named = Named {
            name: Some("check"),
            report: &report,
        };
        let all = render(&[named; 5], None, MOST_BYTES);
        assert_eq!(all.matches("## ").count(), 5);
        let room = all.len() / 2;
        let half = render(&[named; 5], None, room);
        let shown = half.matches("## ").count();
        assert!((1..5).contains(&shown), "{half}");
        assert!(half.len() <= room);
        assert!(
            half.contains(&count((5 - shown) as u64, "more report")),
            "{half}"
        );
        let endless = vec![named; 10_000];
        assert!(render(&endless, None, usize::MAX).len() <= MOST_BYTES);
    }
}
