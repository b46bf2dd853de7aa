//! Kuma and Kong Mesh: `MeshHTTPRoute` and `MeshTCPRoute`, `spec.to[].rules[].default.backendRefs[].weight`;
//! relative, 1 where it is left out.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["MeshHTTPRoute", "MeshTCPRoute"],
    groups: &["kuma.io"],
    weights: "spec.to[].rules[].default.backendRefs[].weight",
    meaning: "relative; left out: 1",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    let mut number = 0;
    for to in object.root().along(&["spec", "to"])?.items()? {
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
            if let Some(matched) = rule.at("matches")?.items()?.first() {
                let path = matched.at("path")?;
                let value = path.at("value")?.text()?.unwrap_or("/").to_owned();
                route.path = match path.at("type")?.text()? {
                    Some("Exact") => PathRule::Exact(value),
                    Some("RegularExpression") => PathRule::Pattern(value),
                    _ => PathRule::Prefix(value),
                };
                for header in matched.at("headers")?.items()? {
                    route
                        .conditions
                        .push(super::gateway::named(&header, Condition::header)?);
                }
            }
            routes.push(route);
        }
    }
    Ok(routes)
}

fn backend<'a>(object: &'a Object, reference: &Field<'a>) -> Result<Backend<'a>, ManifestError> {
    let weight = reference.at("weight")?;
    let value = weight.whole()?.unwrap_or(1);
    let name = reference.at("name")?.required()?;
    // NAME_NAMESPACE_svc_PORT is how Kuma names the Service of a namespace.
    let (bare, namespace) = match name.split('_').collect::<Vec<_>>()[..] {
        [bare, namespace, "svc", ..] => (bare, Some(namespace)),
        _ => (name, reference.at("namespace")?.text()?),
    };
    let mut backend = Backend::service(object, bare, value as f64, &weight);
    if let Some(namespace) = namespace {
        backend.namespace = Some(namespace.to_owned());
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
