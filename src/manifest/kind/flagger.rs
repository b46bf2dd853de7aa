//! Flagger: `Canary`, `status.canaryWeight`; the primary gets the rest of 100.
//!
//! Flagger makes the Services `NAME-primary` and `NAME-canary` and the Deployment `TARGET-primary`; the
//! target itself runs the canary.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Driven, Place, PodsOf, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["Canary"],
    groups: &["flagger.app"],
    weights: "status.canaryWeight, or with --step spec.analysis.stepWeight and stepWeights",
    meaning: "percent of the canary; the primary gets the rest",
    read: Read::Each(routes),
};

/// The objects that hold the rules, by provider (Flagger's `pkg/router`): those that the Canary names, and
/// those that Flagger makes under the service's name.
const NAMED: [(&str, &str, &[&str]); 3] = [
    (
        "spec.ingressRef",
        "Ingress",
        &["spec", "ingressRef", "name"],
    ),
    (
        "spec.routeRef",
        "ApisixRoute",
        &["spec", "routeRef", "name"],
    ),
    (
        "spec.upstreamRef",
        "Upstream",
        &["spec", "upstreamRef", "name"],
    ),
];
const MADE: [&str; 6] = [
    "VirtualService",
    "HTTPRoute",
    "TraefikService",
    "HTTPProxy",
    "TrafficSplit",
    "Ingress",
];

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let root = object.root();
    let spec = root.at("spec")?;
    let target = spec.along(&["targetRef", "name"])?.required()?;
    let service = spec.along(&["service", "name"])?.text()?.unwrap_or(target);
    let weight = root.along(&["status", "canaryWeight"])?;
    let mut unready = None;
    let analysis = analysis(&spec)?;
    let planned = context
        .step
        .map(|step| at_step(&analysis, step))
        .transpose()?;
    let canary = match planned.or(weight.whole()?) {
        Some(canary) if canary <= 100 => canary,
        Some(canary) => {
            return Err(weight.error(&format!("is {canary}: it is a percentage, at most 100")));
        }
        None => {
            unready = Some(weight.error(
                "is missing: give the live object, which has it (kubectl get canary NAME -o json), or a step with --step N",
            ));
            0
        }
    };
    let backend = |role: &'static str, weight_of: u64, workload: String| {
        let name = format!("{service}-{role}");
        let mut backend = Backend::service(object, &name, weight_of as f64, &weight);
        backend.role = Some(role);
        backend.pods = PodsOf::Workload(workload);
        backend
    };
    let backends = vec![
        backend("primary", 100 - canary, format!("{target}-primary")),
        backend("canary", canary, target.to_owned()),
    ];
    let mut route = Route::new(object, 1, backends);
    route.hosts = hosts(&spec.along(&["service", "hosts"])?)?;
    route.conditions.extend(asked(&analysis)?);
    let mut drives = Vec::new();
    let named = |kind, name: &str, path: &str| Driven {
        kind,
        namespace: object.namespace.clone(),
        name: name.to_owned(),
        path: path.to_owned(),
    };
    for (path, kind, keys) in NAMED {
        if let Some(name) = root.along(keys)?.text()? {
            drives.push(named(kind, name, path));
        }
    }
    drives.extend(MADE.map(|kind| named(kind, service, "spec.service.name")));
    route.place = Place::Controller {
        apex: service.to_owned(),
        drives,
        is_unrouted: false,
    };
    route.unready = unready;
    Ok(vec![route])
}

/// `spec.analysis`, or `spec.canaryAnalysis`, as it was called before and is still read.
fn analysis<'a>(spec: &Field<'a>) -> Result<Field<'a>, ManifestError> {
    let (new, old) = (spec.at("analysis")?, spec.at("canaryAnalysis")?);
    Ok(if old.is_there() && !new.is_there() {
        old
    } else {
        new
    })
}

/// What its `match` asks for, where it has one.
fn asked(analysis: &Field<'_>) -> Result<Option<Condition>, ManifestError> {
    let matches = analysis.at("match")?;
    let condition = || format!("what {} asks for", matches.path()).into();
    Ok((!matches.items()?.is_empty()).then(condition))
}

/// The canary's weight at a step, from 1: `stepWeights` lists them, `stepWeight` is added up to `maxWeight`.
fn at_step(analysis: &Field<'_>, step: usize) -> Result<u64, ManifestError> {
    let list = analysis.at("stepWeights")?;
    let items = list.items()?;
    if !items.is_empty() {
        let item = items.get(step - 1);
        let item = item.ok_or_else(|| {
            list.error(&format!("has {} steps: --step {step} is none", items.len()))
        })?;
        return item.whole()?.ok_or_else(|| item.error("is missing"));
    }
    let by = analysis.at("stepWeight")?;
    let width = by
        .whole()?
        .ok_or_else(|| by.error("is missing: without it there are no steps"))?;
    let most = analysis.at("maxWeight")?.whole()?.unwrap_or(100);
    Ok(width.saturating_mul(step as u64).min(most))
}
