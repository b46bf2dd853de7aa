//! `OpenKruise`: `Rollout`, `spec.strategy.canary.steps[].traffic` (`20%`; `weight` in `v1alpha1`, `blueGreen` in its
//! place) at the current step; and `TrafficRouting`, `spec.strategy.weight`.
//!
//! The canary's Service is the named one's with `-canary`, unless `disableGenerateCanaryService` is set; steps are
//! counted from 1. Where a step has `matches`, they lead to the canary and no weight counts
//! (`TrafficRoutingStrategy` of kruise-rollouts).

mod unrouted;

use serde_json::Value;

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Driven, Place, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Rollout", "TrafficRouting"],
    groups: &["rollouts.kruise.io"],
    weights: "spec.strategy.canary.steps[].traffic, or weight (or blueGreen.steps[]); TrafficRouting spec.strategy.weight; without trafficRoutings steps[].replicas",
    meaning: "percent of the canary at the current step or that of --step; replicas: numbers of pods",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let strategy = object.root().along(&["spec", "strategy"])?;
    if object.kind == "TrafficRouting" {
        let routings = object.root().along(&["spec", "objectRef"])?;
        return Ok(match routings.items()?.first() {
            Some(routing) => vec![route(object, routing, &strategy, false)?],
            None => Vec::new(),
        });
    }
    for (key, status) in [("canary", "canaryStatus"), ("blueGreen", "blueGreenStatus")] {
        let style = strategy.at(key)?;
        let routings = style.at("trafficRoutings")?.items()?;
        let steps = style.at("steps")?;
        let items = steps.items()?;
        // A TrafficRouting may do it.
        let annotations = object.root().along(&["metadata", "annotations"])?;
        let is_routed_elsewhere = style.at("trafficRoutingRef")?.is_there()
            || annotations
                .at("rollouts.kruise.io/trafficrouting")?
                .is_there();
        let moves_pods = key == "canary" && !items.is_empty() && !is_routed_elsewhere;
        if routings.is_empty() && !moves_pods {
            continue;
        }
        let current = object
            .root()
            .along(&["status", status, "currentStepIndex"])?;
        let current = current
            .whole()?
            .map(|step| usize::try_from(step).unwrap_or(usize::MAX));
        let step = context.step.or(current).unwrap_or(1);
        let Some(item) = items.get(step.saturating_sub(1)) else {
            return Err(steps.error(&format!("has {} steps: step {step} is none", items.len())));
        };
        let Some(routing) = routings.first() else {
            return Ok(vec![unrouted::route(object, context, &style, item)?]);
        };
        let is_one = style.at("disableGenerateCanaryService")?.flag()?;
        return Ok(vec![route(object, routing, item, is_one)?]);
    }
    Ok(Vec::new())
}

/// What `item`, a step, makes of the requests of `routing`.
fn route<'a>(
    object: &'a Object,
    routing: &Field<'a>,
    item: &Field<'a>,
    is_one: bool,
) -> Result<Route<'a>, ManifestError> {
    let (field, weight) = weight(item)?;
    let matches = item.at("matches")?.items()?;
    let weight = if matches.is_empty() { weight } else { 0 };
    let service = routing.at("service")?.required()?;
    let backend = |role: &'static str, name: &str, value: u64| {
        let mut backend = Backend::service(object, name, value as f64, &field);
        backend.role = Some(role);
        backend
    };
    let canary = format!("{service}-canary");
    let mut backends = vec![
        backend("stable", service, 100 - weight),
        backend("canary", if is_one { service } else { &canary }, weight),
    ];
    if is_one {
        for backend in &mut backends {
            backend.variant = backend.role.map(str::to_owned);
        }
    }
    let mut route = Route::new(object, 1, backends);
    for matched in matches {
        let headers = matched.at("headers")?.items()?;
        let (lone, others) = (headers.first(), matched.keys()?.len());
        let Some(header) = lone.filter(|_| headers.len() == 1 && others == 1) else {
            // Several things at once, or a path: no single condition says it.
            let message = format!("{} of {}", matched.path(), object.title());
            route.pins.push((message.into(), 1));
            continue;
        };
        let condition = super::gateway::named(header, Condition::header)?;
        route.pins.push((condition, 1));
    }
    route.place = Place::Controller {
        apex: service.to_owned(),
        drives: drives(object, routing)?,
        is_unrouted: false,
    };
    Ok(route)
}

/// The objects that the controller writes into.
fn drives(object: &Object, routing: &Field<'_>) -> Result<Vec<Driven>, ManifestError> {
    let mut named = vec![
        ("Ingress", routing.along(&["ingress", "name"])?),
        ("HTTPRoute", routing.along(&["gateway", "httpRouteName"])?),
    ];
    for custom in routing.at("customNetworkRefs")?.items()? {
        let kind = match custom.at("kind")?.text()? {
            Some("VirtualService") => "VirtualService",
            Some("ApisixRoute") => "ApisixRoute",
            _ => continue,
        };
        named.push((kind, custom.at("name")?));
    }
    let mut drives = Vec::new();
    for (kind, field) in named {
        if let Some(name) = field.text()? {
            drives.push(Driven {
                kind,
                namespace: object.namespace.clone(),
                name: name.to_owned(),
                path: field.path().to_owned(),
            });
        }
    }
    Ok(drives)
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
    match weight.percent()? {
        Some(value) => Ok((weight, value)),
        // The step changes numbers of pods alone.
        None => Ok((traffic, 0)),
    }
}
