//! The JUnit rendering, for CI systems that list test cases: one for the split or the sessions, one for each
//! backend, one for errors and one for responses without an identity.
//!
//! FAIL is a *failure*; INCONCLUSIVE and what could not be measured are *errors*, so that no CI takes
//! them for a success. A backend about which the evidence says nothing is *skipped*, and so is one whose share is off:
//! one wrong split is one failure, that of the split.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::checks::ChecksReport;
use super::escape::terminal;
use super::standing::{Standing, sentence, standing};
use super::{Coded, LimitReport, Named, Report, VerdictName, text};
use crate::format::count;

/// Writes one test suite for each report, and before several checks one for what follows from them together.
///
/// # Errors
/// As `out` does.
pub fn write(
    reports: &[Named<'_>],
    whole: Option<&ChecksReport>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut document = quick_junit::Report::new("lbtest");
    if let Some(whole) = whole {
        document.add_test_suite(whole_suite(whole));
    }
    for named in reports {
        document.add_test_suite(suite(named));
    }
    let duration = reports.iter().map(|named| named.report.duration_seconds);
    document.set_time(Duration::from_secs_f64(duration.sum()));
    let rendered = document.to_string().map_err(io::Error::other)?;
    // Nextest's addition to the outermost element, which the schema of Jenkins has no room for; the
    // suites have it.
    let skipped = format!(" skipped=\"{}\"", document.skipped);
    let rendered = rendered.replacen(&skipped, "", 1);
    out.write_all(rendered.as_bytes())?;
    out.flush()
}

/// One case: the verdict on all checks.
fn whole_suite(whole: &ChecksReport) -> TestSuite {
    let first = whole.reasons.first();
    let status = verdict_status(whole.verdict, whole.interrupted, first);
    let lines = whole.reasons.iter().map(|reason| terminal(&reason.message));
    let mut case = TestCase::new("all checks", status);
    case.set_system_out(lines.collect::<Vec<_>>().join("\n"));
    case.set_classname("lbtest");
    let mut suite = TestSuite::new("lbtest");
    // The checks' own suites have the time.
    suite.set_time(Duration::ZERO);
    suite.add_test_case(case);
    suite
}

fn suite(named: &Named<'_>) -> TestSuite {
    let report = named.report;
    let name = named.name.map_or_else(|| "lbtest".into(), terminal);
    let mut suite = TestSuite::new(&*name);
    suite.set_time(Duration::from_secs_f64(report.duration_seconds));
    suite.add_property(("run_id", &*terminal(&report.run_id)));
    if let Some(target) = &report.target {
        suite.add_property(("url", &*terminal(&target.url)));
        suite.add_property(("host", &*terminal(&target.host)));
    }
    let cases = [split(report)]
        .into_iter()
        .chain(report.backends.iter().map(|backend| {
            let name = format!("backend {}", terminal(&backend.label));
            case(&name, backend_status(report, backend), &sentence(backend))
        }))
        .chain([errors(report), unattributed(report)]);
    for mut case in cases {
        case.set_classname(&*name);
        suite.add_test_case(case);
    }
    suite.set_system_out(text::render(report));
    suite
}

fn case(name: &str, status: TestCaseStatus, message: &str) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_system_out(&*terminal(message));
    case
}

/// A status that says why in one line.
fn ended(kind: NonSuccessKind, code: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(code).set_message(&*terminal(message));
    status
}

/// The status of a verdict, by its most important reason.
fn verdict_status(
    verdict: VerdictName,
    is_interrupted: bool,
    first: Option<&Coded>,
) -> TestCaseStatus {
    let (code, message) = first.map_or(("", ""), |reason| (&reason.code, &reason.message));
    match verdict {
        _ if is_interrupted => ended(NonSuccessKind::Error, "interrupted", message),
        VerdictName::Pass | VerdictName::Measured => TestCaseStatus::success(),
        VerdictName::Fail => ended(NonSuccessKind::Failure, code, message),
        VerdictName::Inconclusive | VerdictName::Error => {
            ended(NonSuccessKind::Error, code, message)
        }
    }
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(&*terminal(message));
    status
}

fn split(report: &Report) -> TestCase {
    let of_limits: Vec<&Coded> = report
        .limits
        .iter()
        .filter_map(|limit| limit.reason.as_ref())
        .collect();
    // A limit that decides stands first; the split's own reasons come after it.
    let mut reasons = report
        .reasons
        .iter()
        .filter(|reason| !of_limits.contains(reason));
    let first = reasons.next();
    let status = verdict_status(report.split_verdict, report.interrupted, first);
    let message = first.map_or("", |reason| &*reason.message);
    let rest = reasons.map(|reason| &*reason.message);
    let findings = report.shown_findings().map(|(_, message)| message);
    let lines = [message].into_iter().chain(rest).chain(findings);
    let parts: Vec<_> = lines.map(terminal).collect();
    let name = if report.stickiness.is_some() {
        "sessions"
    } else {
        "split"
    };
    let mut case = TestCase::new(name, status);
    case.set_system_out(parts.join("\n"));
    case
}

/// A backend is held to its share and to its latency.
fn backend_status(report: &Report, backend: &super::BackendReport) -> TestCaseStatus {
    let limits = report.limits.iter();
    let mut own = limits.filter(|limit| limit.label == backend.label);
    let mut breached = || own.find_map(|limit| breach(limit, limit.max_p99_seconds.is_some()));
    match standing(report, backend) {
        Standing::Off => breached().unwrap_or_else(|| {
            skipped(&format!(
                "the split fails, and counts once; {}",
                sentence(backend)
            ))
        }),
        Standing::Unsettled => skipped("the evidence does not settle the backend's share"),
        Standing::NotJudged => skipped("a check of sessions does not judge the backends' shares"),
        Standing::Fits => breached().unwrap_or_else(TestCaseStatus::success),
    }
}

fn breach(limit: &LimitReport, is_asked: bool) -> Option<TestCaseStatus> {
    let reason = limit.reason.as_ref().filter(|_| is_asked)?;
    let kind = match limit.verdict {
        VerdictName::Fail => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    Some(ended(kind, &reason.code, &reason.message))
}

fn errors(report: &Report) -> TestCase {
    let errors: u64 = report.backends.iter().map(|backend| backend.errors).sum();
    let failed: u64 = report.requests.by_failure.values().sum();
    let message = format!(
        "{errors} of {} have {}; {} brought no whole response",
        count(report.requests.attributed, "identified response"),
        report.of_errors(),
        count(failed, "request")
    );
    let mut limits = report.limits.iter();
    let status = limits
        .find_map(|limit| breach(limit, limit.max_error_share.is_some()))
        .unwrap_or_else(|| measured_or_skipped(report));
    case("errors", status, &message)
}

fn unattributed(report: &Report) -> TestCase {
    let text = format!(
        "{} of {} requests have no identity",
        report.requests.unattributed,
        report.requests.attributed + report.requests.unattributed
    );
    let decisive = ["too_many_unattributed", "unattributed_decide"];
    let status = report
        .reasons
        .iter()
        .find(|reason| decisive.contains(&&*reason.code))
        .map_or_else(
            || measured_or_skipped(report),
            |reason| ended(NonSuccessKind::Error, &reason.code, &reason.message),
        );
    case("unattributed", status, &text)
}

fn measured_or_skipped(report: &Report) -> TestCaseStatus {
    match report.verdict {
        VerdictName::Error => skipped("nothing was measured"),
        VerdictName::Pass
        | VerdictName::Fail
        | VerdictName::Inconclusive
        | VerdictName::Measured => TestCaseStatus::success(),
    }
}
