//! What `lbtest lint` reports: the routes of the manifests, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::terminal;

/// The version of this contract.
pub const SCHEMA_VERSION: u32 = 1;

/// The manifests that were checked, as `lint --json` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LintReport {
    /// The version of this contract.
    pub schema_version: u32,
    /// How many objects were read.
    pub objects: u64,
    /// What lay in the folders and is no manifest.
    pub passed_over: Vec<LintPassedOver>,
    /// The rules that split traffic, each in a sentence.
    pub routes: Vec<String>,
    /// The number of findings that make the split another than the one that is written.
    pub errors: u64,
    /// The number of other findings.
    pub warnings: u64,
    /// What is wrong, in the order of the objects.
    pub findings: Vec<LintFinding>,
}

/// A file, or a document in it, that is no manifest.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LintPassedOver {
    /// The file.
    pub file: String,
    /// Why it was passed over, for a person.
    pub reason: String,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LintFinding {
    /// Stable, `snake_case`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The file, or `standard input`.
    pub file: String,
    /// The number of the document in the file, from 1.
    pub document: u64,
    /// The line of the field, or of what would hold it; `null` in JSON, whose lines are not known.
    pub line: Option<u64>,
    /// Kind and name of the object.
    pub object: String,
    /// The path of the field in the object.
    pub path: String,
    /// For a person.
    pub message: String,
    /// The figures behind it, by name.
    pub evidence: BTreeMap<String, f64>,
}

/// The text rendering: a line for each finding, and the count.
pub fn render(report: &LintReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let LintFinding {
            code,
            severity,
            file,
            document,
            line,
            object,
            path,
            message,
            ..
        } = finding;
        let place = match line {
            Some(line) => format!("{file}:{line}"),
            None => format!("{file}, document {document}"),
        };
        let text = format!("{place}, {object}: {path}: {message}");
        let _ = writeln!(out, "{severity}[{code}] {}", terminal(&text));
    }
    for route in &report.routes {
        let _ = writeln!(out, "split: {}", terminal(route));
    }
    let plural =
        |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let passed_over = match report.passed_over.len() {
        0 => String::new(),
        count => format!(", {} passed over", plural(count as u64, "file")),
    };
    let _ = writeln!(
        out,
        "{}, {} in {}{passed_over}",
        plural(report.errors, "error"),
        plural(report.warnings, "warning"),
        plural(report.objects, "object")
    );
    out
}
