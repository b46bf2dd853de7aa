//! `OpenKruise`: `Rollout`, `spec.strategy.canary.steps[].traffic` (`20%`; `weight` in `v1alpha1`) at the
//! current step.
//!
//! The canary's Service is the named one's with `-canary` (`trafficrouting` of kruise-rollouts); steps are
//! counted from 1.

use serde_json::Value;

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Driven, Place, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Rollout"],
    groups: &["rollouts.kruise.io"],
    weights: "spec.strategy.canary.steps[].traffic, or weight",
    meaning: "percent of the canary at the current step or that of --step",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let root = object.root();
    let canary = root.along(&["spec", "strategy", "canary"])?;
    let mut routings = canary.at("trafficRoutings")?.items()?;
    if routings.is_empty() || !canary.is_there() {
        return Ok(Vec::new());
    }
    let routing = routings.swap_remove(0);
    let steps = canary.at("steps")?;
    let items = steps.items()?;
    let current = root
        .along(&["status", "canaryStatus", "currentStepIndex"])?
        .whole()?;
    let current = current.map(|step| usize::try_from(step).unwrap_or(usize::MAX));
    let step = context.step.or(current).unwrap_or(1);
    let Some(item) = items.get(step.saturating_sub(1)) else {
        return Err(steps.error(&format!("has {} steps: step {step} is none", items.len())));
    };
    let (field, weight) = weight(item)?;
    let service = routing.at("service")?.required()?;
    let backend = |role: &'static str, name: &str, value: u64| {
        let mut backend = Backend::service(object, name, value as f64, &field);
        backend.role = Some(role);
        backend
    };
    let backends = vec![
        backend("stable", service, 100 - weight),
        backend("canary", &format!("{service}-canary"), weight),
    ];
    let mut route = Route::new(object, 1, backends);
    let mut drives = Vec::new();
    for (kind, keys) in [
        ("Ingress", ["ingress", "name"]),
        ("HTTPRoute", ["gateway", "httpRouteName"]),
    ] {
        let field = routing.along(&keys)?;
        if let Some(name) = field.text()? {
            drives.push(Driven {
                kind,
                namespace: object.namespace.clone(),
                name: name.to_owned(),
                path: field.path().to_owned(),
            });
        }
    }
    route.place = Place::Controller {
        apex: service.to_owned(),
        drives,
        is_unrouted: false,
    };
    Ok(vec![route])
}

/// The field of a step's weight, and its value.
fn weight<'a>(step: &Field<'a>) -> Result<(Field<'a>, u64), ManifestError> {
    let (traffic, weight) = (step.at("traffic")?, step.at("weight")?);
    if traffic.is_there() {
        let text = match traffic.value() {
            Some(Value::String(text)) => text.trim_end_matches('%').parse().ok(),
            _ => traffic.whole()?,
        };
        let value = text.filter(|value| *value <= 100);
        let value = value.ok_or_else(|| traffic.error("is no percentage: write it as \"20%\""))?;
        return Ok((traffic, value));
    }
    match weight.whole()? {
        Some(value) if value <= 100 => Ok((weight, value)),
        Some(value) => Err(weight.error(&format!("is {value}: it is a percentage, at most 100"))),
        // The step changes numbers of pods alone.
        None => Ok((traffic, 0)),
    }
}
