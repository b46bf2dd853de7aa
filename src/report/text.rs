//! The text rendering: the verdict first, then a small table, then the totals.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::escape::terminal;
use super::names::distinct;
use super::{AddressReport, BackendReport, PodReport, Report, UnmappedReport, VerdictName};
use crate::format::{p_value, p_value_with_log10, percent, time};

/// The whole text report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let word = word(report.verdict);
    let style = verdict_style(report.verdict);
    let first = report.reasons.first().map_or("", |reason| &reason.message);
    line(
        &mut out,
        format_args!("{style}{word}{style:#}  {}", terminal(first)),
    );
    test(&mut out, report);
    for reason in report.told_reasons().skip(1) {
        line(&mut out, format_args!("  - {}", terminal(&reason.message)));
    }
    for (_, message) in report.shown_findings() {
        line(&mut out, format_args!("  * {}", terminal(message)));
    }
    if report.requests.attributed > 0 {
        line(&mut out, format_args!(""));
        if report.evenness.is_some() {
            pods(&mut out, &report.backends, &report.unmapped);
        } else {
            backends(&mut out, &report.backends, &report.unmapped);
        }
    }
    if !report.evenness_by_backend.is_empty() {
        within(&mut out, report);
    }
    if let Some(stickiness) = &report.stickiness {
        line(&mut out, format_args!(""));
        let text = stickiness.sentence();
        line(&mut out, format_args!("sessions: {}", terminal(&text)));
    }
    assignment(&mut out, report);
    totals(&mut out, report);
    if let Some(step) = report.next_step() {
        line(&mut out, format_args!("next: {step}"));
    }
    out
}

/// The verdict alone: what `--quiet` leaves.
pub fn first_line(report: &Report) -> String {
    let text = render(report);
    let end = text.find('\n').map_or(text.len(), |end| end + 1);
    text[..end].to_owned()
}

/// The p-values, and against what they are held.
fn test(out: &mut String, report: &Report) {
    let Some(test) = &report.test else { return };
    let alpha = report.plan.alpha;
    let fit = p_value_with_log10(test.p_value, test.log10_p_value);
    let shift = match report.plan.judge {
        // The classical test alone decides.
        "significance" => String::new(),
        _ => format!(
            "\n  larger shift p {} (PASS at ≤ {alpha})",
            p_value(test.equivalence_p_value)
        ),
    };
    line(
        out,
        format_args!("  goodness of fit p {fit} (FAIL at ≤ {alpha}){shift}"),
    );
    let statistic = match test.chi_square.statistic {
        Some(statistic) => format!("{statistic:.4}"),
        None => "∞".to_owned(),
    };
    let halves = report.halves();
    line(
        out,
        format_args!(
            "  method: {}; Pearson's X² {statistic}, {} df, p {}{halves}",
            test.method.replace('_', " "),
            test.chi_square.degrees_of_freedom,
            p_value_with_log10(test.chi_square.p_value, test.chi_square.log10_p_value),
        ),
    );
}

/// The verdict as people are told it.
pub fn word(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Pass => "PASS",
        VerdictName::Fail => "FAIL",
        VerdictName::Inconclusive => "INCONCLUSIVE",
        VerdictName::Error => "COULD NOT MEASURE",
        VerdictName::Measured => "MEASURED",
    }
}

/// The interval of a backend's share; `None` when nothing was observed.
pub fn interval(backend: &BackendReport) -> Option<String> {
    let (low, high) = (backend.interval_low?, backend.interval_high?);
    Some(format!("{:.1} – {:.1} %", low * 100.0, high * 100.0))
}

/// Its colour.
pub fn verdict_style(verdict: VerdictName) -> Style {
    let color = match verdict {
        VerdictName::Pass | VerdictName::Measured => AnsiColor::Green,
        VerdictName::Fail => AnsiColor::Red,
        VerdictName::Inconclusive | VerdictName::Error => AnsiColor::Yellow,
    };
    Style::new().bold().fg_color(Some(color.into()))
}

/// Writing to a `String` cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

/// A line of a table is as wide as this at most.
const WIDTH: usize = 80;
/// A name beside others, where the rest of the line is short.
const MOST_NAME: usize = 40;

fn backends(out: &mut String, backends: &[BackendReport], unmapped: &[UnmappedReport]) {
    let header = [
        "backend",
        "expected",
        "observed",
        "share",
        "95 % interval",
        "p50",
        "p99",
        "errors",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for backend in backends {
        let label = terminal(&backend.label).into_owned();
        let figures = figures(backend).into_iter().map(or_dash);
        rows.push([label].into_iter().chain(figures).collect());
    }
    for other in unmapped.iter().take(MOST_UNMAPPED) {
        let mut row = vec![or_dash(None); header.len()];
        row[0] = terminal(&other.workload).into_owned();
        row[2] = other.observed.to_string();
        row[3] = or_dash(share(other.share));
        rows.push(row);
    }
    out.push_str(&narrow(rows));
}

/// What is expected of a backend, and what was seen: observed, share, interval, p50, p99, errors.
pub(super) fn figures(backend: &BackendReport) -> [Option<String>; 7] {
    [
        Some(percent(backend.expected_share)),
        Some(backend.observed.to_string()),
        share(backend.share),
        interval(backend),
        backend.latency_p50_seconds.map(time),
        backend.latency_p99_seconds.map(time),
        // What it answered without naming a pod is not known to be its.
        (backend.observed > 0).then(|| backend.errors.to_string()),
    ]
}

pub(super) fn share(share: Option<f64>) -> Option<String> {
    share.map(|share| format!("{:.2} %", share * 100.0))
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

/// The table without a last column that holds nothing but zeros, and with names cut to what the line has left.
fn narrow(mut rows: Vec<Vec<String>>) -> String {
    let is_empty = |row: &Vec<String>| matches!(row.last().map(String::as_str), Some("0" | "-"));
    if rows.iter().skip(1).all(is_empty) {
        for row in &mut rows {
            row.pop();
        }
    }
    let columns = rows.first().map_or(0, Vec::len);
    let widths = (1..columns).map(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        2 + cells.max().unwrap_or(0)
    });
    let left = WIDTH.saturating_sub(widths.sum()).max(12);
    cut_names(&mut rows, left);
    table(&rows, 1)
}

/// Cuts the first cell of each row but the header to `width` characters.
fn cut_names<R: AsMut<[String]>>(rows: &mut [R], width: usize) {
    let mut cells: Vec<&mut String> = rows
        .iter_mut()
        .skip(1)
        .filter_map(|row| row.as_mut().first_mut())
        .collect();
    let names: Vec<String> = cells.iter().map(|cell| (*cell).clone()).collect();
    for (cell, name) in cells.iter_mut().zip(distinct(&names, width)) {
        **cell = name;
    }
}

/// So many pods have a row: those that get most, and those that get least.
pub(super) const MOST_PODS: usize = 20;

/// Pods that are to share equally, sorted by share, and those that were not expected.
fn pods(out: &mut String, pods: &[BackendReport], unexpected: &[UnmappedReport]) {
    let header = [
        "pod",
        "observed",
        "share",
        "95 % interval",
        "× equal",
        "p50",
        "p99",
        "errors",
    ];
    let mut sorted: Vec<&BackendReport> = pods.iter().collect();
    sorted.sort_by_key(|pod| std::cmp::Reverse(pod.observed));
    let row = |pod: &&BackendReport| {
        let [_, observed, share, interval, p50, p99, _] = figures(pod).map(or_dash);
        let of_equal = pod
            .share
            .map(|share| format!("{:.2}", share / pod.expected_share));
        [
            terminal(&pod.label).into_owned(),
            observed,
            share,
            interval,
            or_dash(of_equal),
            p50,
            p99,
            pod.errors.to_string(),
        ]
    };
    let mut rows = vec![header.map(str::to_owned)];
    fold(&mut rows, &sorted, row);
    for pod in unexpected.iter().take(MOST_UNMAPPED) {
        let mut row = header.map(|_| or_dash(None));
        row[0] = terminal(&pod.workload).into_owned();
        row[1] = pod.observed.to_string();
        row[2] = or_dash(share(pod.share));
        rows.push(row);
    }
    out.push_str(&narrow(rows.iter().map(|row| row.to_vec()).collect()));
}

/// Rows of those at both ends of a long list, and how many there are between.
fn fold<T, const N: usize>(
    rows: &mut Vec<[String; N]>,
    sorted: &[T],
    row: impl Fn(&T) -> [String; N],
) {
    if sorted.len() <= MOST_PODS {
        rows.extend(sorted.iter().map(row));
        return;
    }
    let (most, rest) = sorted.split_at(MOST_PODS / 2);
    let (between, least) = rest.split_at(rest.len() - MOST_PODS / 2);
    rows.extend(most.iter().map(&row));
    let mut folded = [const { String::new() }; N];
    folded[0] = format!("… {} more", between.len());
    rows.push(folded);
    rows.extend(least.iter().map(&row));
}

/// The pods of each backend, sorted by share, where they are to share its requests equally.
fn within(out: &mut String, report: &Report) {
    let header = ["pod", "backend", "observed", "× equal share"];
    let mut rows = vec![header.map(str::to_owned)];
    for backend in &report.evenness_by_backend {
        let own = |pod: &&PodReport| pod.label.as_ref() == Some(&backend.label);
        let mut pods: Vec<&PodReport> = report.pods.iter().filter(own).collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.observed));
        fold(&mut rows, &pods, |pod| {
            let ratio = pod.equal_share_ratio.map(|ratio| format!("{ratio:.2}"));
            [
                terminal(&pod.name).into_owned(),
                terminal(&backend.label).into_owned(),
                pod.observed.to_string(),
                or_dash(ratio),
            ]
        });
    }
    cut_names(&mut rows, MOST_NAME);
    line(out, format_args!(""));
    out.push_str(&table(&rows, 2));
}

/// So many workloads that are no backend have a row.
pub(super) const MOST_UNMAPPED: usize = 8;

/// Aligned columns: the first `left` of them to the left, the others to the right.
pub fn table<R: AsRef<[String]>>(rows: &[R], left: usize) -> String {
    let mut out = String::new();
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let cells = row.as_ref();
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut text = String::new();
        for (column, (cell, &width)) in row.as_ref().iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if column < left {
                ("", &*pad)
            } else {
                (&*pad, "")
            };
            let gap = if column == 0 { "" } else { "  " };
            let _ = write!(text, "{gap}{before}{cell}{after}");
        }
        line(&mut out, format_args!("{}", text.trim_end()));
    }
    out
}

fn assignment(out: &mut String, report: &Report) {
    let guessed: Vec<String> = report
        .assignment
        .iter()
        .filter(|row| row.label.as_ref() != Some(&row.workload))
        .map(|row| {
            let label = row.label.as_deref().unwrap_or("?");
            format!("{} is {label} ({})", terminal(&row.workload), row.basis())
        })
        .collect();
    if !guessed.is_empty() {
        line(out, format_args!("workloads: {}", guessed.join("; ")));
    }
}

/// How long the run took, and its pace, behind a comma.
fn pace(report: &Report) -> String {
    match report.throughput_per_second {
        Some(rate) => {
            let asked = report.plan.rate_per_second;
            let of = asked.map_or(String::new(), |asked| format!(" of {asked:.1}/s asked for"));
            let rate = if asked.is_some() {
                format!("{rate:.1}/s")
            } else {
                format!("{rate:.0}/s")
            };
            format!(", {} ({rate}{of})", time(report.duration_seconds))
        }
        None => String::new(),
    }
}

/// `429 × 3, 503 × 1`, with the names as `shown` writes them.
pub(super) fn listed(counts: &BTreeMap<String, u64>, shown: fn(&str) -> String) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{} × {count}", shown(name)))
        .collect();
    parts.join(", ")
}

fn totals(out: &mut String, report: &Report) {
    let requests = &report.requests;
    let rate = pace(report);
    let set_aside = if requests.set_aside > 0 {
        format!(" + {} set aside", requests.set_aside)
    } else {
        String::new()
    };
    let never_sent = match requests.never_sent {
        0 => String::new(),
        never_sent => format!("; {never_sent} never sent"),
    };
    line(
        out,
        format_args!(
            "requests: {} sent = {} attributed + {} without identity{set_aside}{never_sent}{rate}",
            requests.sent, requests.attributed, requests.unattributed
        ),
    );
    if requests.set_aside > 0 {
        line(
            out,
            format_args!(
                "set aside: {} ({} of them identified; statuses: {})",
                listed(&requests.set_aside_by_reason, str::to_owned),
                requests.set_aside_identified,
                listed(&requests.set_aside_by_status, str::to_owned)
            ),
        );
    }
    let by_kind = [
        ("statuses", &requests.by_status),
        ("failures", &requests.by_failure),
    ];
    for (kind, counts) in by_kind.into_iter().filter(|(_, counts)| !counts.is_empty()) {
        line(
            out,
            format_args!("{kind}: {}", listed(counts, str::to_owned)),
        );
    }
    if let Some(connections) = &report.connections {
        line(
            out,
            format_args!(
                "connections: {} opened, {} reopened; at most {} open at once",
                connections.opened, connections.reopened, connections.most_open
            ),
        );
    }
    // One address is the target; of several each says what it brought.
    if report.addresses.len() > 1 {
        for row in &report.addresses {
            line(out, format_args!("{}", address(row, &report.backends)));
        }
    }
}

fn address(row: &AddressReport, backends: &[BackendReport]) -> String {
    let counts: Vec<String> = backends
        .iter()
        .zip(&row.counts)
        .map(|(backend, count)| format!("{} {count}", terminal(&backend.label)))
        .collect();
    format!(
        "{}: {}; {} without identity, {} failed, {} failed dials",
        terminal(&row.address),
        counts.join(", "),
        row.unidentified,
        row.failed,
        row.failed_dials
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_characters() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let out = table(&[row("é", "1"), row("long", "100")], 1);
        assert_eq!(out, "é       1\nlong  100\n");
    }
}
