//! The annotation of a job in GitHub Actions: one workflow command that says why it fails.

use super::escape::{terminal, workflow_data, workflow_property};
use super::names::cut;
use super::text::word;
use super::{Named, VerdictName};

/// Longer messages are cut: GitHub shows an annotation on a few lines.
const WIDTH: usize = 1000;

/// One `::error` line for all reports that did not pass; `None` when all did.
///
/// GitHub shows only a step's first ten annotations, so that one line speaks for all checks.
pub fn render(reports: &[Named<'_>]) -> Option<String> {
    let failing: Vec<&Named<'_>> = reports.iter().filter(|named| !is_passed(named)).collect();
    let first = failing.first()?;
    let title = match reports.len() {
        1 => format!("lbtest: {}", word(first.report.verdict)),
        all => format!("lbtest: {} of {all} checks did not pass", failing.len()),
    };
    let parts: Vec<String> = failing
        .iter()
        .map(|named| {
            let reason = named.report.reasons.first();
            let message = reason.map_or("", |reason| &reason.message);
            match named.name {
                Some(name) => format!("{name}: {} {message}", word(named.report.verdict)),
                None => message.to_owned(),
            }
        })
        .map(|line| terminal(&line).into_owned())
        .collect();
    Some(format!(
        "::error title={}::{}\n",
        workflow_property(&title),
        workflow_data(&cut(&parts.join("\n"), WIDTH))
    ))
}

fn is_passed(named: &Named<'_>) -> bool {
    match named.report.verdict {
        _ if named.report.interrupted => false,
        VerdictName::Pass | VerdictName::Measured => true,
        VerdictName::Fail | VerdictName::Inconclusive | VerdictName::Error => false,
    }
}
