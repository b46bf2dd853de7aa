//! What is wrong with manifests that can be read: each finding names the object and the field.
//!
//! An error makes the split another than the one that is written, a warning does not.

mod ingress;
mod rate;
mod selector;

pub(super) use ingress::counts_on_a_canary;

use std::time::Duration;

use serde_json::Value;

use super::ManifestError;
use super::choice::joined;
use super::field::Field;
use super::kind;
use super::object::Object;
use super::route::{Place, Route};
use super::workload::Workloads;
use crate::split::Split;

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
    #[must_use]
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
    /// Where it stands and what it says, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self {
            file,
            object,
            path,
            message,
            ..
        } = self;
        format!("{file}, {object}: {path}: {message}")
    }
}

/// What a run would send, for limits that would slow it down.
pub struct PlannedRun<'p> {
    /// How many requests a split needs; `None` where time alone bounds the run.
    pub requests: &'p dyn Fn(&Split) -> Option<u64>,
    /// How long the run may take.
    pub max_duration: Duration,
}

impl std::fmt::Debug for PlannedRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedRun")
            .field("max_duration", &self.max_duration)
            .finish_non_exhaustive()
    }
}

/// Collects findings.
#[derive(Default)]
struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        self.found.push(Finding {
            code,
            severity,
            file: object.origin.file.to_string(),
            document: object.origin.document,
            object: object.title(),
            path: path.to_owned(),
            message,
            evidence: Vec::new(),
            index: object.index,
        });
        self.found.last_mut().expect("it was just pushed")
    }

    fn error(
        &mut self,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        self.add(Severity::Error, code, object, path, message)
    }

    fn warning(
        &mut self,
        code: &'static str,
        object: &Object,
        path: &str,
        message: String,
    ) -> &mut Finding {
        self.add(Severity::Warning, code, object, path, message)
    }
}

/// Everything that is wrong with `objects`, in their order.
///
/// # Errors
/// A field that can't be used.
pub(super) fn lint(
    objects: &[Object],
    planned: Option<&PlannedRun<'_>>,
) -> Result<Vec<Finding>, ManifestError> {
    let mut findings = Findings::default();
    let routes = joined(kind::routes(objects)?);
    let workloads = Workloads::read(objects)?;
    ingress::lint(objects, &mut findings)?;
    selector::lint(&routes, objects, &workloads, &mut findings)?;
    for route in &routes {
        weights(route, &mut findings);
        replica_counts(route, &mut findings)?;
        if let Some(planned) = planned {
            rate::lint(route, planned, &mut findings)?;
        }
    }
    let mut found = findings.found;
    found.sort_by_key(|finding| finding.index);
    Ok(found)
}

/// Those of `findings` that concern the objects at `indices`.
pub(super) fn concerning(findings: Vec<Finding>, indices: &[usize]) -> Vec<Finding> {
    let concerns = |finding: &Finding| indices.contains(&finding.index);
    findings.into_iter().filter(concerns).collect()
}

fn weights(route: &Route<'_>, findings: &mut Findings) {
    if route.total() > 0.0 {
        return;
    }
    let (object, path) = &route.backends[0].field;
    let message = format!(
        "the weights of rule {} sum to 0: no backend gets any request ({})",
        route.rule,
        route.split()
    );
    findings.error("weights_sum_to_zero", object, path, message);
}

/// Without a traffic router Argo Rollouts approximates weights by numbers of replicas.
fn replica_counts(route: &Route<'_>, findings: &mut Findings) -> Result<(), ManifestError> {
    let object = route.object;
    let is_rollout = object.kind == "Rollout" && matches!(route.place, Place::Controller { .. });
    let canary = object.root().along(&["spec", "strategy"]);
    let Some(canary) = canary.ok().filter(|_| is_rollout) else {
        return Ok(());
    };
    let routing: Field<'_> = canary.along(&["canary", "trafficRouting"])?;
    let is_split = route
        .backends
        .iter()
        .filter(|backend| backend.weight > 0.0)
        .count()
        > 1;
    let is_routed = routing
        .value()
        .is_some_and(|value| !matches!(value, Value::Object(map) if map.is_empty()));
    if is_split && !is_routed {
        let message = "is missing, so that the weights are approximated by numbers of replicas: \
                       judge such a split with --judge tolerance"
            .to_owned();
        findings.warning("approximate_split", object, routing.path(), message);
    }
    Ok(())
}
