//! Gloo Edge: `VirtualService` and `RouteTable` of `gateway.solo.io`,
//! `routeAction.multi.destinations[].weight`; relative.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["VirtualService", "RouteTable"],
    groups: &["gateway.solo.io"],
    weights: "spec.virtualHost.routes[].routeAction.multi.destinations[].weight (RouteTable: spec.routes[])",
    meaning: "relative",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let host = if object.kind == "VirtualService" {
        spec.at("virtualHost")?
    } else {
        spec
    };
    let hosts = hosts(&host.at("domains")?)?;
    let mut routes = Vec::new();
    for (index, rule) in host.at("routes")?.items()?.iter().enumerate() {
        let action = rule.at("routeAction")?;
        let mut backends = Vec::new();
        for entry in action.along(&["multi", "destinations"])?.items()? {
            let weight = entry.at("weight")?;
            let value = weight.whole()?.unwrap_or(0);
            backends.push(backend(
                object,
                &entry.at("destination")?,
                value as f64,
                &weight,
            )?);
        }
        let single = action.at("single")?;
        if single.is_there() {
            backends.push(backend(object, &single, 100.0, &single)?);
        }
        if backends.is_empty() {
            // It redirects, answers by itself, or delegates.
            continue;
        }
        let mut route = Route::new(object, index + 1, backends);
        route.hosts.clone_from(&hosts);
        if let Some(matcher) = rule.at("matchers")?.items()?.first() {
            for (key, make) in [
                ("prefix", PathRule::Prefix as fn(String) -> PathRule),
                ("exact", PathRule::Exact),
                ("regex", PathRule::Pattern),
            ] {
                if let Some(path) = matcher.at(key)?.text()? {
                    route.path = make(path.to_owned());
                }
            }
            for header in matcher.at("headers")?.items()? {
                route.conditions.push(Condition::header(
                    header.at("name")?.required()?,
                    header.at("value")?.text()?,
                ));
            }
        }
        routes.push(route);
    }
    Ok(routes)
}

/// A Service, or an upstream that discovery called `NAMESPACE-SERVICE-PORT`.
fn backend<'a>(
    object: &'a Object,
    destination: &Field<'a>,
    weight: f64,
    field: &Field<'a>,
) -> Result<Backend<'a>, ManifestError> {
    let kube = destination.along(&["kube", "ref"])?;
    let is_service = kube.is_there();
    let reference = if is_service {
        kube
    } else {
        destination.at("upstream")?
    };
    let mut backend = Backend::service(object, reference.at("name")?.required()?, weight, field);
    if let Some(namespace) = reference.at("namespace")?.text()? {
        backend.namespace = Some(namespace.to_owned());
    }
    if !is_service {
        backend.pods = PodsOf::Unknown;
    }
    for (_, value) in destination.along(&["subset", "values"])?.strings()? {
        backend.variant = Some(value.to_owned());
        backend.pods = PodsOf::Unknown;
    }
    Ok(backend)
}
