//! Argo Rollouts: `Rollout`, `status.canary.weights`, else the last `setWeight` up to the current step.
//!
//! `utils/replicaset/canary.go` of argo-rollouts: an aborted rollout has weight 0, one past its last step
//! 100, and one before any `setWeight` 0; a missing `currentStepIndex` is 0. Once the current template is
//! the stable one, there is no canary. Template hashes tell the pods of the two apart.

use serde_json::Value;

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Driven, Place, PodsOf, Remark, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Rollout"],
    groups: &["argoproj.io"],
    weights: "status.canary.weights, else spec.strategy.canary.steps[].setWeight",
    meaning: "percent of the canary, or parts of trafficRouting.maxTrafficWeight, at the current step or that of --step",
    read: Read::Each(routes),
};

#[expect(
    clippy::too_many_lines,
    reason = "each branch is a way to route that Argo knows"
)]
fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let root = object.root();
    let strategy = root.along(&["spec", "strategy"])?;
    let canary = strategy.at("canary")?;
    if !canary.is_there() {
        if strategy.at("blueGreen")?.is_there() {
            // All requests go to the active service: there is no split.
            return Ok(Vec::new());
        }
        return Err(canary.error("is missing: only the canary strategy splits traffic"));
    }
    let status = root.at("status")?;
    let none = root.at("(none)")?;
    // A step that is asked for comes before what is live.
    let (status, weights) = match context.step {
        Some(_) => (&none, none.clone()),
        None => (&status, status.along(&["canary", "weights"])?),
    };
    let live = root.at("status")?;
    let mut backends = Vec::new();
    let names = ["stable", "canary"];
    let hashes = ["stableRS", "currentPodHash"];
    let hashes: Vec<_> = hashes
        .iter()
        .map(|key| live.at(key)?.text())
        .collect::<Result<_, _>>()?;
    let is_promoted = context.step.is_none() && hashes[0].is_some() && hashes[0] == hashes[1];
    let (total, planned) = planned(&canary, status, context.step)?;
    let subsets = canary.along(&["trafficRouting", "istio", "destinationRule"])?;
    for (role, hash) in names.into_iter().zip(hashes) {
        let entry = weights.at(role)?;
        let (field, value) = if weights.is_there() {
            let field = entry.at("weight")?;
            let value = field.whole()?.ok_or_else(|| field.error("is missing"))?;
            (field, value)
        } else {
            let is_stable = role == "stable";
            let canary_weight = if is_promoted { 0 } else { planned.1 };
            let value = if is_stable {
                total.saturating_sub(canary_weight)
            } else {
                canary_weight
            };
            (planned.0.clone(), value)
        };
        let service = match entry.at("serviceName")?.text()? {
            Some(service) if !service.is_empty() => Some(service),
            _ => canary.at(&format!("{role}Service"))?.text()?,
        };
        let hash = entry.at("podTemplateHash")?.text()?.or(hash);
        let mut backend = Backend::service(object, service.unwrap_or(role), value as f64, &field);
        backend.role = Some(role);
        backend.variant = subsets
            .at(&format!("{role}SubsetName"))?
            .text()?
            .map(str::to_owned);
        backend.pods = match (hash, service) {
            (Some(hash), _) if !hash.is_empty() => PodsOf::Template {
                workload: object.name.clone(),
                hash: hash.to_owned(),
            },
            (_, Some(_)) => PodsOf::Service,
            _ => PodsOf::Unknown,
        };
        backends.push(backend);
    }
    if is_promoted {
        // Both services select the same pods.
        backends.truncate(1);
    }
    for entry in weights.at("additional")?.items()? {
        let weight = entry.at("weight")?;
        let name = entry.at("serviceName")?.required()?;
        let value = weight.whole()?.unwrap_or_default();
        backends.push(Backend::service(object, name, value as f64, &weight));
    }
    let mut route = Route::new(object, 1, backends);
    control(&mut route, &canary)?;
    Ok(vec![route])
}

/// What the Rollout drives, and what it comes to where nothing routes requests.
fn control(route: &mut Route<'_>, canary: &Field<'_>) -> Result<(), ManifestError> {
    let object = route.object;
    let routing = canary.at("trafficRouting")?;
    let (drives, root_service) = drives(object, &routing)?;
    let stable = canary.at("stableService")?.text()?;
    let is_unrouted = routing
        .keys()?
        .iter()
        .all(|key| !ROUTERS.contains(key) && *key != "plugins");
    if is_unrouted
        && route
            .backends
            .iter()
            .filter(|backend| backend.weight > 0.0)
            .count()
            > 1
    {
        route.remarks.push(Remark {
            is_error: false,
            code: "approximate_split",
            field: (object, routing.path().to_owned()),
            message: "is missing, so that the weights are approximated by numbers of replicas: \
                      judge such a split with --judge tolerance"
                .to_owned(),
        });
    }
    route.place = Place::Controller {
        apex: root_service.or(stable).unwrap_or(&object.name).to_owned(),
        drives,
        is_unrouted,
    };
    Ok(())
}

/// What routes requests for a Rollout (the API's `RolloutTrafficRouting`).
pub(in crate::manifest) const ROUTERS: [&str; 8] = [
    "alb",
    "ambassador",
    "apisix",
    "appMesh",
    "istio",
    "nginx",
    "smi",
    "traefik",
];

/// The kinds of the objects that a router's fields name: the end of the field's name, in lower case and
/// without a plural's end, and the kind. Plugins name theirs alike.
const NAMED: [(&str, &str); 16] = [
    ("httproute", "HTTPRoute"),
    ("grpcroute", "GRPCRoute"),
    ("tcproute", "TCPRoute"),
    ("tlsroute", "TLSRoute"),
    ("httpproxy", "HTTPProxy"),
    ("httpproxie", "HTTPProxy"),
    ("virtualservice", "VirtualService"),
    ("traefikservicename", "TraefikService"),
    ("traefikservice", "TraefikService"),
    ("trafficsplitname", "TrafficSplit"),
    ("ingress", "Ingress"),
    ("ingresse", "Ingress"),
    ("mapping", "Mapping"),
    ("splitter", "ServiceSplitter"),
    ("service-splitter", "ServiceSplitter"),
    ("route", "Route"),
];

/// The objects that `routing` names, and the service that takes all requests where one is named.
fn drives<'a>(
    object: &Object,
    routing: &Field<'a>,
) -> Result<(Vec<Driven>, Option<&'a str>), ManifestError> {
    let mut found = Vec::new();
    let mut root_service = None;
    for router in routing.keys()? {
        if !ROUTERS.contains(&router) && router != "plugins" {
            continue;
        }
        let field = routing.at(router)?;
        let configurations = match router {
            "plugins" => field
                .keys()?
                .iter()
                .map(|key| field.at(key))
                .collect::<Result<_, _>>()?,
            _ => vec![field],
        };
        for configuration in configurations {
            root_service = root_service.or(configuration.at("rootService")?.text()?);
            let namespace = configuration.at("namespace")?.text()?;
            for key in configuration.keys()? {
                let field = configuration.at(key)?;
                let lower = key.to_ascii_lowercase();
                let single = lower
                    .strip_suffix('s')
                    .filter(|one| !one.ends_with('s'))
                    .unwrap_or(&lower);
                let named = NAMED
                    .iter()
                    .find(|(end, _)| lower.ends_with(end) || single.ends_with(end));
                let Some((_, kind)) = named else { continue };
                let kind = if router == "apisix" {
                    "ApisixRoute"
                } else {
                    kind
                };
                names(object, &field, kind, namespace, &mut found)?;
            }
        }
    }
    Ok((found, root_service))
}

/// The names at `field`: a text, `{name: …}`, or a list of either.
fn names(
    object: &Object,
    field: &Field<'_>,
    kind: &'static str,
    namespace: Option<&str>,
    found: &mut Vec<Driven>,
) -> Result<(), ManifestError> {
    match field.value() {
        Some(Value::Array(_)) => {
            for item in field.items()? {
                names(object, &item, kind, namespace, found)?;
            }
        }
        Some(Value::Object(_)) => {
            let name = field.at("name")?;
            let own = field.at("namespace")?.text()?;
            if name.is_there() {
                names(object, &name, kind, own.or(namespace), found)?;
            }
        }
        Some(Value::String(name)) => {
            // Istio's may be NAME.NAMESPACE (`utils/istio` of argo-rollouts).
            let (name, own) = match name.split_once('.') {
                Some((name, own)) if kind == "VirtualService" => (name, Some(own)),
                _ => (name.as_str(), None),
            };
            found.push(Driven {
                kind,
                namespace: own
                    .or(namespace)
                    .map(str::to_owned)
                    .or_else(|| object.namespace.clone()),
                name: name.to_owned(),
                path: field.path().to_owned(),
            });
        }
        _ => {}
    }
    Ok(())
}

/// The weights' total, and the field and value of the canary's weight as the steps plan it.
fn planned<'a>(
    canary: &Field<'a>,
    status: &Field<'a>,
    step: Option<usize>,
) -> Result<(u64, (Field<'a>, u64)), ManifestError> {
    let total = canary
        .along(&["trafficRouting", "maxTrafficWeight"])?
        .whole()?;
    let total = total.unwrap_or(100);
    let steps = canary.at("steps")?;
    if status.at("abort")?.flag()? {
        return Ok((total, (status.at("abort")?, 0)));
    }
    let items = steps.items()?;
    let index = status.at("currentStepIndex")?;
    if let Some(step) = step.filter(|&step| step > items.len()) {
        return Err(steps.error(&format!("has {} steps: --step {step} is none", items.len())));
    }
    let current = index.whole()?.unwrap_or(0);
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    let current = step.map_or(current, |step| step - 1);
    if current >= items.len() {
        let field = if index.is_there() { index } else { steps };
        return Ok((total, (field, total)));
    }
    for step in items[..=current].iter().rev() {
        let weight = step.at("setWeight")?;
        if let Some(value) = weight.whole()? {
            if value > total {
                return Err(weight.error(&format!("is {value}: the weights' total is {total}")));
            }
            return Ok((total, (weight, value)));
        }
    }
    Ok((total, (steps, 0)))
}
