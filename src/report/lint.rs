//! What `lbtest lint` reports: the routes of the manifests, and what is wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::terminal;
use crate::format::count;

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

impl LintFinding {
    /// Where it is: file and line, object, field.
    fn place(&self) -> String {
        let Self {
            file, object, path, ..
        } = self;
        match self.line {
            Some(line) => format!("{file}:{line}, {object}: {path}"),
            None => format!("{file}, document {}, {object}: {path}", self.document),
        }
    }
}

/// The text rendering: a line for each thing that is wrong, then one for each other place where it is, and the count.
pub fn render(report: &LintReport) -> String {
    let mut out = String::new();
    let mut told: Vec<Vec<&LintFinding>> = Vec::new();
    let mut known: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for finding in &report.findings {
        let said = (&*finding.code, finding.severity, &*finding.message);
        let row = *known.entry(said).or_insert(told.len());
        if row == told.len() {
            told.push(Vec::new());
        }
        told[row].push(finding);
    }
    for findings in told {
        let LintFinding {
            code,
            severity,
            message,
            ..
        } = findings[0];
        for (nth, finding) in findings.iter().enumerate() {
            let line = match nth {
                0 => format!("{severity}[{code}] {}: {message}", finding.place()),
                _ => format!("  also {}", finding.place()),
            };
            let _ = writeln!(out, "{}", terminal(&line));
        }
    }
    for route in &report.routes {
        let _ = writeln!(out, "split: {}", terminal(route));
    }
    let passed_over = match report.passed_over.len() {
        0 => String::new(),
        files => format!(", {} passed over", count(files as u64, "file")),
    };
    let _ = writeln!(
        out,
        "{}, {} in {}{passed_over}",
        count(report.errors, "error"),
        count(report.warnings, "warning"),
        count(report.objects, "object")
    );
    out
}
