//! What the page shows, in the words and figures in which it shows it.

mod backends;
mod facts;

use minijinja::Value;
use serde::Serialize;

use super::chart::{self, Chart};
use crate::format::{count, p_value, percent, time};
use crate::report::checks::ChecksReport;
use crate::report::escape::terminal;
use crate::report::names::cut;
use crate::report::text::word;
use crate::report::{Named, Report, VerdictName};
use backends::{BackendRow, backends};
use facts::{Fact, plan, run, target, test};

/// Pods beyond this number are counted, not listed, which bounds the page's size.
const MOST_PODS: usize = 300;
/// Longer names and sentences are cut.
const NAME_WIDTH: usize = 120;
const SENTENCE_WIDTH: usize = 2000;

/// One report.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// Its place among the checks, which distinguishes its parts from those of other sections.
    index: usize,
    /// Whether its details are left to reports of its own.
    is_brief: bool,
    /// Whether it is folded away, since it asks nothing of the reader.
    is_folded: bool,
    /// Whether its backends are pods.
    is_of_pods: bool,
    /// When it began and how long it took.
    when: Option<String>,
    name: String,
    verdict: &'static str,
    word: &'static str,
    symbol: &'static str,
    claim: &'static str,
    promise: Option<String>,
    reasons: Vec<String>,
    findings: Vec<FindingRow>,
    backends: Vec<BackendRow>,
    unmapped: Vec<UnmappedRow>,
    charts: Vec<Figure>,
    windows: Vec<WindowRow>,
    /// Backends with a column in `windows`.
    series: usize,
    pods: Vec<PodRow>,
    more_pods: usize,
    limits: Vec<LimitRow>,
    assignment: Vec<[String; 3]>,
    target: Vec<Fact>,
    plan: Vec<Fact>,
    test: Vec<Fact>,
    run: Vec<Fact>,
}

/// A chart whose drawing is escaped already.
#[derive(Debug, Serialize)]
struct Figure {
    kind: &'static str,
    title: String,
    caption: String,
    svg: Value,
}

#[derive(Debug, Serialize)]
struct FindingRow {
    code: String,
    message: String,
    evidence: Vec<[String; 2]>,
}

#[derive(Debug, Serialize)]
struct UnmappedRow {
    workload: String,
    observed: u64,
    share: String,
}

#[derive(Debug, Serialize)]
struct WindowRow {
    start: String,
    total: u64,
    shares: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PodRow {
    name: String,
    label: String,
    observed: u64,
    /// Of the pod that answered most, in percent.
    bar: String,
    /// The colour of its backend.
    series: String,
}

#[derive(Debug, Serialize)]
struct LimitRow {
    label: String,
    limit: String,
    word: &'static str,
}

/// What follows from several checks together.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    verdict: &'static str,
    word: &'static str,
    reasons: Vec<String>,
    /// The p-value of each check, and the same adjusted for their number.
    p_values: Vec<[String; 2]>,
}

impl Whole {
    pub(super) fn of(whole: &ChecksReport) -> Self {
        let describe = |p: Option<f64>| or_dash(p.map(p_value));
        Self {
            verdict: whole.verdict.code(),
            word: word(whole.verdict),
            reasons: whole
                .reasons
                .iter()
                .map(|reason| sentence(&reason.message))
                .collect(),
            p_values: whole
                .checks
                .iter()
                .map(|check| [describe(check.p_value), describe(check.adjusted_p_value)])
                .collect(),
        }
    }
}

/// What was typed.
pub(super) fn command(reports: &[Named<'_>]) -> Option<String> {
    let typed = reports.first()?.report.command_line.as_deref();
    typed.map(sentence)
}

/// The page's title.
pub(super) fn title(reports: &[Named<'_>], whole: Option<&ChecksReport>) -> String {
    if let [named] = reports {
        return format!("{} – {}", word(named.report.verdict), name(named));
    }
    let passed = |named: &&Named<'_>| named.report.verdict == VerdictName::Pass;
    let passed = reports.iter().filter(passed).count();
    let checks = count(reports.len() as u64, "check");
    let passed = format!("{passed} of {checks} passed");
    match whole {
        Some(whole) => format!("{} – {passed}", word(whole.verdict)),
        None => passed,
    }
}

fn name(named: &Named<'_>) -> String {
    match (named.name, &named.report.target) {
        (Some(name), _) => shown(name),
        (None, Some(target)) => shown(&target.host),
        (None, None) => "counts".to_owned(),
    }
}

pub(super) fn shown(name: &str) -> String {
    cut(&terminal(name), NAME_WIDTH)
}

pub(super) fn sentence(text: &str) -> String {
    cut(&terminal(text), SENTENCE_WIDTH)
}

pub(super) fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "–".to_owned())
}

/// Checks beyond this number are shown without their details, which bounds the page's size.
const MOST_DETAILED: usize = 8;

/// The sections of a page: what fails first, then what is in doubt, each in the order in which they ran.
pub(super) fn sections(reports: &[Named<'_>]) -> Vec<Section> {
    let mut order: Vec<(usize, &Named<'_>)> = reports.iter().enumerate().collect();
    order.sort_by_key(|(_, named)| match named.report.verdict {
        VerdictName::Fail => 0,
        VerdictName::Error => 1,
        VerdictName::Inconclusive => 2,
        VerdictName::Measured | VerdictName::Pass => 3,
    });
    let places = order.into_iter().enumerate();
    places
        .map(|(place, (index, named))| {
            let mut section = Section::of(index, named);
            section.is_folded = reports.len() > 1 && named.report.verdict == VerdictName::Pass;
            if place >= MOST_DETAILED {
                section.abridge();
            }
            section
        })
        .collect()
}

impl Section {
    /// Leaves the verdict and how the backends' shares stand.
    fn abridge(&mut self) {
        self.is_brief = true;
        self.charts = Vec::new();
        self.pods = Vec::new();
        self.more_pods = 0;
        self.assignment = Vec::new();
        for facts in [
            &mut self.target,
            &mut self.plan,
            &mut self.test,
            &mut self.run,
        ] {
            *facts = Vec::new();
        }
    }

    #[expect(clippy::too_many_lines, reason = "each line is a field of the page")]
    fn of(index: usize, named: &Named<'_>) -> Self {
        let report = named.report;
        let series = |label: &Option<String>| {
            let backends = report.backends.iter().take(chart::MOST_SERIES);
            let place = backends
                .enumerate()
                .find(|(_, backend)| Some(&backend.label) == label.as_ref());
            place.map_or_else(|| "others".to_owned(), |(place, _)| format!("s{place}"))
        };
        let labels = |label: &Option<String>| or_dash(label.as_deref().map(shown));
        let most = report
            .pods
            .iter()
            .map(|pod| pod.observed)
            .max()
            .unwrap_or(1);
        Self {
            index,
            is_brief: false,
            is_folded: false,
            is_of_pods: report.evenness.is_some(),
            when: report.started_at.as_deref().map(|started| {
                let started = shown(started).replace('T', " ").replace('Z', " UTC");
                format!("{started}, {}", time(report.duration_seconds))
            }),
            name: name(named),
            verdict: report.verdict.code(),
            word: word(report.verdict),
            symbol: symbol(report.verdict),
            claim: meaning(report),
            promise: report.plan.promise.as_deref().map(sentence),
            reasons: report
                .told_reasons()
                .map(|reason| sentence(&reason.message))
                .collect(),
            findings: report.shown_findings().map(FindingRow::of).collect(),
            backends: backends(report),
            unmapped: report
                .unmapped
                .iter()
                .take(crate::report::text::MOST_UNMAPPED)
                .map(|other| UnmappedRow {
                    workload: shown(&other.workload),
                    observed: other.observed,
                    share: or_dash(other.share.map(|share| format!("{:.2} %", share * 100.0))),
                })
                .collect(),
            charts: chart::charts(report, index)
                .into_iter()
                .map(Figure::of)
                .collect(),
            windows: windows(report),
            series: chart::MOST_SERIES,
            pods: report
                .pods
                .iter()
                .take(MOST_PODS)
                .map(|pod| PodRow {
                    name: shown(&pod.name),
                    label: labels(&pod.label),
                    observed: pod.observed,
                    bar: format!("{:.1}", 100.0 * pod.observed as f64 / most as f64),
                    series: series(&pod.label),
                })
                .collect(),
            more_pods: report.pods.len().saturating_sub(MOST_PODS),
            limits: limits(report),
            assignment: report
                .assignment
                .iter()
                .map(|row| {
                    [
                        shown(&row.workload),
                        labels(&row.label),
                        row.basis().to_owned(),
                    ]
                })
                .collect(),
            target: target(report),
            plan: plan(&report.plan),
            test: test(report),
            run: run(report),
        }
    }
}

/// A sign for the verdict.
pub(super) const fn symbol(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Pass => "✓",
        VerdictName::Fail => "✗",
        VerdictName::Inconclusive => "?",
        VerdictName::Error => "!",
        VerdictName::Measured => "…",
    }
}

/// What the verdict claims.
fn meaning(report: &Report) -> &'static str {
    match report.verdict {
        VerdictName::Pass if report.stickiness.is_some() => {
            "Every session stayed on its backend, and enough of them did. How requests are split is not judged here."
        }
        VerdictName::Fail if report.stickiness.is_some() => {
            "A session left its backend, or a backend does what it must not."
        }
        VerdictName::Pass => {
            "The expected split explains the counts, and what the judge holds against a PASS is ruled out."
        }
        VerdictName::Fail => {
            "The expected split does not explain the counts, or a backend does what it must not."
        }
        VerdictName::Inconclusive => {
            "The evidence carries neither a PASS nor a FAIL; the reasons say what would settle it."
        }
        VerdictName::Error => "Nothing could be measured.",
        VerdictName::Measured => "A part of a larger run: it is judged after merging.",
    }
}

impl Figure {
    fn of(chart: Chart) -> Self {
        Self {
            kind: chart.kind,
            title: chart.title,
            caption: chart.caption,
            svg: Value::from_safe_string(chart.svg),
        }
    }
}

impl FindingRow {
    fn of((finding, message): (&crate::report::Finding, &str)) -> Self {
        Self {
            code: finding.code.clone(),
            message: sentence(message),
            evidence: finding
                .evidence
                .iter()
                .map(|(name, figure)| [name.replace('_', " "), format!("{figure:.4}")])
                .collect(),
        }
    }
}

fn windows(report: &Report) -> Vec<WindowRow> {
    let row = |bar: &chart::Bar| {
        let total = bar.total();
        let counts = bar.counts.iter().take(chart::MOST_SERIES);
        WindowRow {
            start: time(bar.start_seconds),
            total,
            shares: counts
                .map(|&count| format!("{:.1} %", 100.0 * count as f64 / total.max(1) as f64))
                .collect(),
        }
    };
    chart::bars(report).iter().map(row).collect()
}

fn limits(report: &Report) -> Vec<LimitRow> {
    let row = |limit: &crate::report::LimitReport| LimitRow {
        label: shown(&limit.label),
        limit: match (limit.max_p99_seconds, limit.max_error_share) {
            (Some(seconds), _) => format!("99 % of its responses within {}", time(seconds)),
            (None, Some(share)) => {
                format!("at most {} with {}", percent(share), report.of_errors())
            }
            (None, None) => String::new(),
        },
        word: match limit.verdict {
            VerdictName::Pass => "kept",
            VerdictName::Fail => "exceeded",
            VerdictName::Inconclusive | VerdictName::Error | VerdictName::Measured => "unknown",
        },
    };
    report.limits.iter().map(row).collect()
}
