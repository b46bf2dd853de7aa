//! `lbtest analyze --run FILE`: a marked run, judged by the pods' own logs.

use std::fmt::Write;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::output::{OutputArgs, Outputs};
use super::{CommandError, manifests, open, output};
use crate::exit::ExitStatus;
use crate::logs::{MarkedLogs, MarkedSummary};
use crate::merge::marked::MarkedRun;
use crate::plan::settings::Settings;
use crate::report::Report;
use crate::report::escape::terminal;
use crate::verdict::judge_counts;

/// What is read at once.
const BUFFER: usize = 1 << 18;

/// Judges the run of the report in `run` by `logs`, or by stdin where there are none.
pub(super) fn run(
    run: &Path,
    logs: &[PathBuf],
    settings: Settings,
    outputs: &OutputArgs,
) -> Result<ExitStatus, CommandError> {
    let name = run.display().to_string();
    let marked = MarkedRun::read(&name, BufReader::new(open(run)?))
        .map_err(|error| CommandError::usage(terminal(&error.to_string())))?;
    let (settings, _) = manifests::resolve(settings)?;
    let claim = &marked.claim;
    let mappings = settings.mappings(&claim.split)?;
    let mut outputs = Outputs::open(outputs)?;
    let mut read = MarkedLogs::new(&marked, mappings)
        .ok_or_else(|| CommandError::usage(format!("{}: the run is too large", terminal(&name))))?;
    let unread =
        |name: &str, error: io::Error| CommandError::usage(format!("{}: {error}", terminal(name)));
    if logs.is_empty() {
        let stdin = BufReader::with_capacity(BUFFER, io::stdin().lock());
        read.read(stdin, None)
            .map_err(|error| unread("stdin", error))?;
    }
    for file in logs {
        let reader = BufReader::with_capacity(BUFFER, open(file)?);
        read.read(reader, Some(file))
            .map_err(|error| unread(&file.display().to_string(), error))?;
    }
    let (evidence, summary) = read.evidence();
    output::note(&said(&summary));
    if summary.found == 0 {
        return Err(CommandError::not_measured(why_nothing(&summary, &marked)));
    }
    let claim = claim.naming(evidence.groups.iter());
    let mut outcome = judge_counts(&claim, &evidence);
    outcome.findings.extend(summary.findings());
    let mut report = Report::of_counts(&claim, &evidence, &outcome);
    report.run_id.clone_from(&marked.run_id);
    outputs.write(&report)?;
    Ok(report.status())
}

/// How the logs were read.
fn said(summary: &MarkedSummary) -> String {
    let mut said = format!(
        "read {} lines: {} carry the run's mark, and tell who answered {} of {} requests",
        summary.lines, summary.marked, summary.found, summary.sent
    );
    if summary.set_aside > 0 {
        let _ = write!(
            said,
            "; {} more are of requests that were set aside",
            summary.set_aside
        );
    }
    said
}

/// Why no line tells who answered, and what to do.
fn why_nothing(summary: &MarkedSummary, marked: &MarkedRun) -> String {
    if summary.nameless > 0 {
        return format!(
            "the run is not judged: nothing says which pod wrote a line; the first: \"{}\"; add --prefix to kubectl logs, or \
             give files with the pods' names",
            summary.first_nameless.as_deref().unwrap_or_default()
        );
    }
    format!(
        "the run is not judged: none of {} lines carries its mark, '{}.NUMBER'; have the app's access log record the \
         User-Agent or X-Request-Id, and read it from the beginning of the run on (kubectl logs --tail=-1 --since=1h)",
        summary.lines, marked.marks.run
    )
}
