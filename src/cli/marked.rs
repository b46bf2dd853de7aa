//! `lbtest analyze --run FILE`: a marked run, judged by the pods' own logs.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::output::{OutputArgs, Outputs};
use super::{CommandError, manifests, open, output};
use crate::exit::ExitStatus;
use crate::format::count;
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
    refuse_twice(logs)?;
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

/// A log that is given twice, under one name or two, is a slip.
fn refuse_twice(logs: &[PathBuf]) -> Result<(), CommandError> {
    let mut known: HashMap<(u64, u64), &Path> = HashMap::new();
    for log in logs {
        // What cannot be read is told when it is.
        let Ok(found) = log.metadata() else {
            continue;
        };
        if let Some(first) = known.insert((found.dev(), found.ino()), log) {
            return Err(CommandError::usage(terminal(&format!(
                "{} and {} are one file, whose lines would be read twice: give it once",
                first.display(),
                log.display()
            ))));
        }
    }
    Ok(())
}

/// How the logs were read.
fn said(summary: &MarkedSummary) -> String {
    let mut said = format!(
        "read {}: {} with the run's mark, by which it is known who answered {} of {}",
        count(summary.lines, "line"),
        summary.marked,
        summary.found,
        count(summary.sent, "request")
    );
    if summary.set_aside > 0 {
        let _ = write!(
            said,
            "; {} more of requests that were set aside",
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
        "the run is not judged: none of {} carries its mark, '{}.NUMBER'; have the app's access log record the \
         User-Agent or X-Request-Id, and read it from the beginning of the run on (kubectl logs --tail=-1 --since=1h)",
        count(summary.lines, "line"),
        marked.marks.run
    )
}
