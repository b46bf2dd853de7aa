//! Istio: `VirtualService`, `spec.http[].route[].weight`, with the subsets of `DestinationRule`s.
//!
//! "If there is only one destination in a rule, it will receive all traffic"; of several, those without
//! a weight get nothing (the reference of `HTTPRouteDestination`).

use std::collections::BTreeMap;

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::{Object, same_namespace};
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

const GROUP: &[&str] = &["networking.istio.io"];

/// The rules of `object`, if it is a `VirtualService`.
pub(super) fn routes<'a>(
    object: &'a Object,
    objects: &'a [Object],
) -> Result<Vec<Route<'a>>, ManifestError> {
    if !object.is("VirtualService", GROUP) {
        return Ok(Vec::new());
    }
    let spec = object.root().at("spec")?;
    let hosts = hosts(&spec.at("hosts")?)?;
    let mut routes = Vec::new();
    for (index, rule) in spec.at("http")?.items()?.iter().enumerate() {
        let destinations = rule.at("route")?.items()?;
        if destinations.is_empty() {
            continue;
        }
        let is_single = destinations.len() == 1;
        let mut backends = Vec::new();
        for destination in &destinations {
            let weight = destination.at("weight")?;
            let value = weight.whole()?.unwrap_or(0);
            let value = if is_single { 100 } else { value };
            let target = destination.at("destination")?;
            let mut backend = service(object, &target.at("host")?, value as f64, &weight)?;
            if let Some(subset) = target.at("subset")?.text()? {
                backend.variant = Some(subset.to_owned());
                backend.pods = PodsOf::Subset(labels_of(&backend, subset, objects)?);
            } else if let Some(port) = target.along(&["port", "number"])?.whole()? {
                backend.variant = Some(port.to_string());
            }
            backends.push(backend);
        }
        let mut route = Route::new(object, index + 1, backends);
        route.rule_name = rule.at("name")?.text()?;
        route.hosts.clone_from(&hosts);
        let matches = rule.at("match")?.items()?;
        let matches: Vec<_> = matches.iter().map(read_match).collect::<Result<_, _>>()?;
        if let Some(least) = matches.into_iter().min_by_key(|read| read.conditions.len()) {
            route.path = least.path;
            route.conditions = least.conditions;
            if let Some(authority) = least.authority {
                route.hosts = vec![authority];
            }
        }
        routes.push(route);
    }
    Ok(routes)
}

/// The Service that a destination's host names: `reviews`, or `reviews.prod.svc.cluster.local`.
fn service<'a>(
    object: &'a Object,
    host: &Field<'a>,
    weight: f64,
    field: &Field<'a>,
) -> Result<Backend<'a>, ManifestError> {
    let host = host.required()?;
    let mut backend = Backend::service(object, host, weight, field);
    if let [name, namespace, "svc", ..] = host.split('.').collect::<Vec<_>>()[..] {
        name.clone_into(&mut backend.name);
        backend.namespace = Some(namespace.to_owned());
    } else if host.contains('.') {
        backend.pods = PodsOf::Unknown;
    }
    Ok(backend)
}

/// The labels of a subset, from the `DestinationRule` of the backend's host; none where that is not there.
fn labels_of(
    backend: &Backend<'_>,
    subset: &str,
    objects: &[Object],
) -> Result<BTreeMap<String, String>, ManifestError> {
    for object in objects
        .iter()
        .filter(|object| object.is("DestinationRule", GROUP))
    {
        let spec = object.root().at("spec")?;
        let host = service(object, &spec.at("host")?, 0.0, &spec)?;
        let namespace = host.namespace.as_deref();
        if host.name != backend.name || !same_namespace(namespace, backend.namespace.as_deref()) {
            continue;
        }
        for candidate in spec.at("subsets")?.items()? {
            if candidate.at("name")?.required()? == subset {
                let labels = candidate.at("labels")?.strings()?;
                let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
                return Ok(labels.into_iter().map(owned).collect());
            }
        }
    }
    Ok(BTreeMap::new())
}

struct Match {
    path: PathRule,
    authority: Option<String>,
    conditions: Vec<String>,
}

fn read_match(field: &Field<'_>) -> Result<Match, ManifestError> {
    let mut read = Match {
        path: PathRule::any(),
        authority: None,
        conditions: Vec::new(),
    };
    for key in field.keys()? {
        let value = field.at(key)?;
        match key {
            "uri" => {
                read.path = if let Some(path) = value.at("exact")?.text()? {
                    PathRule::Exact(path.to_owned())
                } else if let Some(path) = value.at("prefix")?.text()? {
                    PathRule::Prefix(path.to_owned())
                } else {
                    PathRule::Pattern(value.at("regex")?.text()?.unwrap_or("*").to_owned())
                };
            }
            "authority" if value.at("exact")?.is_there() => {
                read.authority = value.at("exact")?.text()?.map(str::to_owned);
            }
            "headers" | "withoutHeaders" | "queryParams" => {
                let noun = if key == "queryParams" {
                    "query parameter"
                } else {
                    "header"
                };
                let names = value.keys()?;
                let told = names.iter().map(|name| format!("{noun} {name}"));
                read.conditions.extend(told);
            }
            "method" if value.at("exact")?.text()? == Some("GET") => {}
            // These say how the rest is read, or where requests come from in a mesh.
            "name" | "ignoreUriCase" | "gateways" | "statPrefix" | "port" | "scheme" => {}
            other => read.conditions.push(other.to_owned()),
        }
    }
    Ok(read)
}
