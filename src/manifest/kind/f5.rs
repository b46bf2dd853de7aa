//! NGINX Ingress Controller of F5: `VirtualServer` and `VirtualServerRoute`, `routes[].splits[].weight` and
//! `routes[].matches[].splits[].weight`, in percent.
//!
//! The controller takes weights that sum to 100 alone (`validateSplits` of kubernetes-ingress).

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["VirtualServer", "VirtualServerRoute"],
    groups: &["k8s.nginx.org"],
    weights: "spec.routes[].splits[].weight, spec.routes[].matches[].splits[].weight (VirtualServerRoute: spec.subroutes[])",
    meaning: "percent, of a rule's upstreams",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let key = if object.kind == "VirtualServer" {
        "routes"
    } else {
        "subroutes"
    };
    let mut routes = Vec::new();
    let mut number = 0;
    for rule in spec.at(key)?.items()? {
        let mut taken = rule.at("matches")?.items()?;
        taken.push(rule.clone());
        for part in taken {
            number += 1;
            let backends = backends(object, &spec, &part)?;
            let mut route = if backends.is_empty() {
                match absent(object, &part, number, context)? {
                    Some(route) => route,
                    // It redirects, answers by itself, or is read where it leads.
                    None => continue,
                }
            } else {
                Route::new(object, number, backends)
            };
            route
                .hosts
                .extend(spec.at("host")?.text()?.map(str::to_owned));
            route.path = path(rule.at("path")?.text()?.unwrap_or("/"));
            for condition in part.at("conditions")?.items()? {
                for noun in ["header", "cookie", "argument", "variable"] {
                    if let Some(name) = condition.at(noun)?.text()? {
                        let value = condition.at("value")?.text()?;
                        // A value that begins with "!" is one that must not be.
                        let is_plain = |value: &&str| !value.starts_with('!');
                        let value = value.filter(is_plain);
                        route.conditions.push(match (noun, value) {
                            ("header", value @ Some(_)) => Condition::header(name, value),
                            ("cookie", value @ Some(_)) => Condition::cookie(name, value),
                            ("argument", value @ Some(_)) => Condition::query(name, value),
                            _ => format!("{noun} {name}").into(),
                        });
                    }
                }
            }
            routes.push(route);
        }
    }
    Ok(routes)
}

/// The path of a rule, with the modifiers of nginx's `location`.
fn path(path: &str) -> PathRule {
    let plain = path.trim_start_matches(['^', '~', '*', '=']).trim();
    match path.as_bytes().first() {
        Some(b'=') => PathRule::Exact(plain.to_owned()),
        // The pattern's own start is no modifier.
        Some(b'~') => PathRule::Pattern(path.trim_start_matches(['~', '*']).trim().to_owned()),
        _ => PathRule::Prefix(plain.to_owned()),
    }
}

/// A rule that leads to a `VirtualServerRoute` which is not there.
fn absent<'a>(
    object: &'a Object,
    rule: &Field<'a>,
    number: usize,
    context: &Context<'a>,
) -> Result<Option<Route<'a>>, ManifestError> {
    let field = rule.at("route")?;
    let Some(name) = field.text()?.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let (namespace, bare) = match name.split_once('/') {
        Some((namespace, bare)) => (Some(namespace), bare),
        None => (object.namespace.as_deref(), name),
    };
    let is_there = context.objects.iter().any(|known| {
        known.is("VirtualServerRoute", KIND.groups) && known.is_called(bare, namespace)
    });
    let elsewhere = || Route::elsewhere(object, number, &field, "VirtualServerRoute", name);
    Ok((!is_there).then(elsewhere))
}

/// The upstreams of a rule, or of one of its matches.
fn backends<'a>(
    object: &'a Object,
    spec: &Field<'a>,
    rule: &Field<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let mut backends = Vec::new();
    let splits = rule.at("splits")?;
    let mut total = 0;
    for split in splits.items()? {
        let weight = split.at("weight")?;
        let value = weight.whole()?.ok_or_else(|| weight.error("is missing"))?;
        total += value;
        backends.extend(upstream(
            object,
            spec,
            &split.at("action")?,
            value as f64,
            &weight,
        )?);
    }
    if splits.is_there() && total != 100 {
        let problem =
            format!("sums to {total}: the controller takes weights that sum to 100 alone");
        return Err(splits.error(&problem));
    }
    if backends.is_empty() {
        let action = rule.at("action")?;
        backends.extend(upstream(object, spec, &action, 100.0, &action)?);
    }
    Ok(backends)
}

/// The Service of the upstream that an action passes requests to.
fn upstream<'a>(
    object: &'a Object,
    spec: &Field<'a>,
    action: &Field<'a>,
    weight: f64,
    field: &Field<'a>,
) -> Result<Option<Backend<'a>>, ManifestError> {
    let name = match action.at("pass")?.text()? {
        Some(name) => Some(name),
        None => action.along(&["proxy", "upstream"])?.text()?,
    };
    let Some(name) = name else { return Ok(None) };
    for upstream in spec.at("upstreams")?.items()? {
        if upstream.at("name")?.text()? == Some(name) {
            let service = upstream.at("service")?.required()?;
            // NAMESPACE/SERVICE is allowed.
            let (namespace, service) = service.split_once('/').unwrap_or(("", service));
            let mut backend = Backend::service(object, service, weight, field);
            backend.variant = Some(name.to_owned());
            let labels = upstream.at("subselector")?.strings()?;
            if !labels.is_empty() {
                let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
                backend.pods = PodsOf::Subset(labels.into_iter().map(owned).collect());
            }
            if !namespace.is_empty() {
                backend.namespace = Some(namespace.to_owned());
            }
            return Ok(Some(backend));
        }
    }
    let mut backend = Backend::service(object, name, weight, field);
    backend.pods = PodsOf::Unknown;
    Ok(Some(backend))
}
