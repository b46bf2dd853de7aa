//! Kuma and Kong Mesh: `MeshHTTPRoute` and `MeshTCPRoute`, `spec.to[].rules[].default.backendRefs[].weight`;
//! relative, 1 where it is left out.
//!
//! A policy for anything but a `MeshGateway` splits what clients inside the mesh send.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Remark, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["MeshHTTPRoute", "MeshTCPRoute"],
    groups: &["kuma.io"],
    weights: "spec.to[].rules[].default.backendRefs[].weight",
    meaning: "relative; left out: 1",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let kind = spec.along(&["targetRef", "kind"])?;
    let is_inside = kind.text()? != Some("MeshGateway");
    let mut routes = Vec::new();
    let mut number = 0;
    for to in spec.at("to")?.items()? {
        for rule in to.at("rules")?.items()? {
            number += 1;
            let references = rule.along(&["default", "backendRefs"])?.items()?;
            let backends: Vec<_> = references
                .iter()
                .map(|one| backend(object, one))
                .collect::<Result<_, _>>()?;
            if backends.is_empty() {
                continue;
            }
            let mut route = Route::new(object, number, backends);
            route.hosts = hosts(&to.at("hostnames")?)?;
            let matches = rule.at("matches")?.items()?;
            let read = matches.iter().map(super::gateway::http_match);
            route.match_any(read.collect::<Result<_, _>>()?);
            if is_inside {
                route
                    .remarks
                    .push(Remark::inside((object, "spec.to".to_owned())));
            }
            routes.push(route);
        }
    }
    Ok(routes)
}

fn backend<'a>(object: &'a Object, reference: &Field<'a>) -> Result<Backend<'a>, ManifestError> {
    let weight = reference.at("weight")?;
    let value = weight.whole()?.unwrap_or(1);
    let labels = reference.at("labels")?.strings()?;
    let name = match reference.at("name")?.text()? {
        Some(name) if !name.is_empty() => name,
        // A MeshService of any name that has these labels.
        _ if !labels.is_empty() => labels.values().next().copied().unwrap_or_default(),
        _ => reference.at("name")?.required()?,
    };
    // NAME_NAMESPACE_svc_PORT is how Kuma names the Service of a namespace.
    let (bare, namespace) = match name.split('_').collect::<Vec<_>>()[..] {
        [bare, namespace, "svc", ..] => (bare, Some(namespace)),
        _ => (name, reference.at("namespace")?.text()?),
    };
    let mut backend = Backend::service(object, bare, value as f64, &weight);
    if let Some(namespace) = namespace {
        backend.namespace = Some(namespace.to_owned());
    }
    if !labels.is_empty() || reference.at("kind")?.text()? == Some("MeshExternalService") {
        backend.pods = PodsOf::Unknown;
    }
    let tags = reference.at("tags")?.strings()?;
    if !tags.is_empty() {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        backend.variant = tags
            .get("version")
            .or(tags.values().next())
            .map(|tag| (*tag).to_owned());
        backend.pods = PodsOf::Subset(tags.into_iter().map(owned).collect());
    }
    Ok(backend)
}
