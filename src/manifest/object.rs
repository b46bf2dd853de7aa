//! Kubernetes objects: what they are, where they stand, and nothing of what they mean.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::ManifestError;
use super::lines::Lines;

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name of its input.
    pub file: Arc<str>,
    /// The number of its document, from 1.
    pub document: usize,
    /// The lines of the object and of its fields; those of JSON are not known.
    pub lines: Option<Lines>,
    /// Its index in a `List`.
    pub item: Option<usize>,
}

/// A Kubernetes object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its number among all objects, from 0.
    pub index: usize,
    /// Where it stands.
    pub origin: Origin,
    /// The API group of `apiVersion`; empty for the core group.
    pub group: String,
    /// The version of `apiVersion`.
    pub version: String,
    /// What it is.
    pub kind: String,
    /// Its namespace; `None` where the manifest leaves that to whoever applies it.
    pub namespace: Option<String>,
    /// Its name, or `generateName`.
    pub name: String,
    /// The whole of it.
    pub value: Value,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.escape_debug())?;
        write!(f, ", document {}", self.document)?;
        if let Some(line) = self.line() {
            write!(f, " (line {line})")?;
        }
        if let Some(item) = self.item {
            write!(f, ", items[{item}]")?;
        }
        Ok(())
    }
}

impl Origin {
    /// The line that the object begins on.
    pub fn line(&self) -> Option<u64> {
        self.lines.as_ref().map(Lines::line)
    }
}

impl Object {
    /// The line of its field at `path`, or of what would hold it.
    pub(super) fn line(&self, path: &str) -> Option<u64> {
        let lines = self.origin.lines.as_ref()?;
        Some(lines.of(&self.value, path))
    }

    /// `NAMESPACE/NAME`, or the name alone where the manifest has no namespace.
    pub fn full_name(&self) -> String {
        full_name(self.namespace.as_deref(), &self.name)
    }

    /// Kind and name, for a person.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.full_name())
    }

    /// Whether a reference to `name` in `namespace` means it.
    pub(super) fn is_called(&self, name: &str, namespace: Option<&str>) -> bool {
        self.name == name && same_namespace(self.namespace.as_deref(), namespace)
    }

    pub(super) fn is(&self, kind: &str, groups: &[&str]) -> bool {
        self.kind == kind && groups.contains(&self.group.as_str())
    }

    /// Why its field at `path` can't be used: `problem` follows the path.
    pub(super) fn refused(&self, path: &str, problem: &str) -> ManifestError {
        ManifestError::Field {
            place: format!("{}, {}", self.origin, self.title().escape_debug()),
            path: path.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

/// `NAMESPACE/NAME`, or the name alone.
pub(super) fn full_name(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// Whether two namespaces may be the same: one that a manifest leaves open is any.
pub(super) fn same_namespace(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_none() || other.is_none() || one == other
}
