//! What lint finds: something that is wrong with an object.

use std::collections::HashSet;

use super::CODES;
use crate::manifest::ManifestError;
use crate::manifest::object::Object;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The split is not what is written.
    Error,
    /// Something has no effect, or makes measuring hard.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The name of the input.
    pub file: String,
    /// The number of the document in it, from 1.
    pub document: usize,
    /// The line of the field, or of what would hold it; `None` in JSON, whose lines are not known.
    pub line: Option<u64>,
    /// Kind and name of the object.
    pub object: String,
    /// The path of the field in the object.
    pub path: String,
    /// For a person; does not repeat object and path.
    pub message: String,
    /// The figures behind it, by name; finite.
    pub evidence: Vec<(&'static str, f64)>,
    /// Index of the object among all.
    index: usize,
}

impl Finding {
    /// That `object` stands in several files.
    pub(in crate::manifest) fn twice(object: &Object, message: String) -> Self {
        let mut findings = Findings::default();
        findings
            .warning("object_twice", object, "metadata.name", message)
            .clone()
    }

    /// Where it stands and what it says, in one sentence.
    pub fn sentence(&self) -> String {
        let Self {
            file,
            line,
            object,
            path,
            message,
            ..
        } = self;
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        format!("{file}{line}, {object}: {path}: {message}")
    }
}

/// Collects findings.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    #[expect(clippy::too_many_arguments, reason = "the columns of a finding")]
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        debug_assert!(CODES.iter().any(|(known, _)| *known == code), "{code}");
        self.found.push(Finding {
            code,
            severity,
            file: object.origin.file.to_string(),
            document: object.origin.document,
            line: object.line(path),
            object: object.title(),
            path: path.to_owned(),
            message,
            evidence: Vec::new(),
            index: object.index,
        });
        self.found.last_mut().expect("it was just pushed")
    }

    /// A field that can't be used, as a finding.
    pub(super) fn unusable(&mut self, object: &Object, error: &ManifestError) {
        match error {
            ManifestError::Field { path, problem, .. } => {
                self.error("unusable_field", object, path, problem.clone());
            }
            other => {
                self.error("unusable_field", object, "spec", other.to_string());
            }
        }
    }

    /// What checking `object` came to.
    pub(super) fn take(&mut self, object: &Object, checked: Result<(), ManifestError>) {
        if let Err(error) = checked {
            self.unusable(object, &error);
        }
    }

    /// All findings in the order of the objects, each once.
    pub(super) fn once(self) -> Vec<Finding> {
        let mut seen = HashSet::new();
        let mut found = self.found;
        found.retain(|one| {
            seen.insert((one.index, one.code, one.path.clone(), one.message.clone()))
        });
        found.sort_by_key(|finding| finding.index);
        found
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        self.add(Severity::Error, code, object, path, message)
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        self.add(Severity::Warning, code, object, path, message)
    }
}

/// Those of `findings` that concern the objects at `indices`.
pub(in crate::manifest) fn concerning(findings: Vec<Finding>, indices: &[usize]) -> Vec<Finding> {
    let concerns = |finding: &Finding| indices.contains(&finding.index);
    findings.into_iter().filter(concerns).collect()
}
