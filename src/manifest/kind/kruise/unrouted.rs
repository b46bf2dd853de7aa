//! A `Rollout` of `OpenKruise` that routes no requests: its steps move pods, and the shares follow their numbers.
//!
//! A step's `replicas` is a number of pods or a percentage of the workload's, rounded up; without it the percentage of
//! requests is one of pods (`ConvertTo` of kruise-rollouts). With `enableExtraWorkloadForCanary` they come beside the workload's.

use serde_json::Value;

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::kind::Context;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Place, PodsOf, Remark, Route};

/// What `step` makes of the pods of `object`'s workload.
pub(super) fn route<'a>(
    object: &'a Object,
    context: &Context<'a>,
    style: &Field<'a>,
    step: &Field<'a>,
) -> Result<Route<'a>, ManifestError> {
    let spec = object.root().at("spec")?;
    let new = spec.at("workloadRef")?;
    let old = spec.along(&["objectRef", "workloadRef"])?;
    let workload = if new.is_there() { new } else { old };
    let (kind, name) = (workload.at("kind")?, workload.at("name")?.required()?);
    let kind = kind.text()?.unwrap_or("workload");
    let namespace = object.namespace.as_deref();
    let is_it = |one: &&Object| one.kind == kind && one.is_called(name, namespace);
    let pods = match context.objects.iter().find(is_it) {
        Some(found) => Some(
            found
                .root()
                .along(&["spec", "replicas"])?
                .whole()?
                .unwrap_or(1),
        ),
        None => None,
    };
    let (field, canary) = canary(step, pods, &format!("{kind} {name}"))?;
    let total = pods.unwrap_or(100);
    let stable = if style.at("enableExtraWorkloadForCanary")?.flag()? {
        total
    } else {
        total.saturating_sub(canary)
    };
    let status = object.root().along(&["status", "canaryStatus"])?;
    let mut backends = Vec::new();
    for (role, pods, hash) in [
        ("stable", stable, "stableRevision"),
        ("canary", canary, "podTemplateHash"),
    ] {
        let mut backend = Backend::service(object, role, pods as f64, &field);
        backend.role = Some(role);
        backend.pods = match status.at(hash)?.text()?.filter(|hash| !hash.is_empty()) {
            Some(hash) => PodsOf::Template {
                workload: name.to_owned(),
                hash: hash.to_owned(),
            },
            None => PodsOf::Unknown,
        };
        backends.push(backend);
    }
    let mut route = Route::new(object, 1, backends);
    route.remarks.push(Remark {
        is_error: false,
        code: "approximate_split",
        field: (object, field.path().to_owned()),
        message: "moves pods, and without trafficRoutings nothing routes requests, so that the numbers of pods make the \
                  shares: judge such a split with --judge tolerance"
            .to_owned(),
    });
    route.place = Place::Controller {
        apex: name.to_owned(),
        drives: Vec::new(),
        is_unrouted: true,
    };
    Ok(route)
}

/// The pods of the canary, of `pods` in all, or of a hundred where it is not known how many there are.
fn canary<'a>(
    step: &Field<'a>,
    pods: Option<u64>,
    workload: &str,
) -> Result<(Field<'a>, u64), ManifestError> {
    let replicas = step.at("replicas")?;
    let (field, percent) = match replicas.value() {
        None | Some(Value::Null) => super::weight(step)?,
        Some(Value::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|text| text.parse().ok());
            let percent = percent.filter(|percent| *percent <= 100);
            let problem = "is neither a number of pods nor a percentage: write it as \"20%\"";
            (
                replicas.clone(),
                percent.ok_or_else(|| replicas.error(problem))?,
            )
        }
        Some(_) => {
            let number = replicas.whole()?.unwrap_or_default();
            let Some(pods) = pods else {
                let problem = format!(
                    "is a number of pods, and the {workload} is not among the manifests: give it as well"
                );
                return Err(replicas.error(&problem));
            };
            return Ok((replicas, number.min(pods)));
        }
    };
    Ok((
        field,
        pods.map_or(percent, |pods| (percent * pods).div_ceil(100)),
    ))
}
