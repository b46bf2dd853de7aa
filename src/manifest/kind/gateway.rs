//! Gateway API: `HTTPRoute` and `GRPCRoute`, `spec.rules[].backendRefs[].weight`.
//!
//! A reference without a weight has weight 1, one of weight 0 gets nothing (the API's reference,
//! `BackendRef`). A rule without references redirects or answers by itself, and splits nothing.

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

const GROUP: &[&str] = &["gateway.networking.k8s.io"];

/// The rules of `object`, if it is a route of the Gateway API.
pub(super) fn routes(object: &Object) -> Result<Vec<Route<'_>>, ManifestError> {
    let is_grpc = object.is("GRPCRoute", GROUP);
    if !is_grpc && !object.is("HTTPRoute", GROUP) {
        return Ok(Vec::new());
    }
    let spec = object.root().at("spec")?;
    let hosts = hosts(&spec.at("hostnames")?)?;
    let mut routes = Vec::new();
    for (index, rule) in spec.at("rules")?.items()?.iter().enumerate() {
        let references = rule.at("backendRefs")?.items()?;
        if references.is_empty() {
            continue;
        }
        let backends = references
            .iter()
            .map(|reference| backend(object, reference))
            .collect::<Result<_, _>>()?;
        let mut route = Route::new(object, index + 1, backends);
        route.rule_name = rule.at("name")?.text()?;
        route.hosts.clone_from(&hosts);
        let matches = rule.at("matches")?.items()?;
        let read = if is_grpc { grpc_match } else { http_match };
        let matches: Vec<_> = matches.iter().map(read).collect::<Result<_, _>>()?;
        // Of several matches one is enough: the one that asks for least.
        if let Some((path, conditions)) = matches.into_iter().min_by_key(|(_, more)| more.len()) {
            route.path = path;
            route.conditions = conditions;
        }
        routes.push(route);
    }
    Ok(routes)
}

fn backend<'a>(object: &'a Object, reference: &Field<'a>) -> Result<Backend<'a>, ManifestError> {
    let name = reference.at("name")?.required()?;
    let weight = reference.at("weight")?;
    let value = weight.whole()?.unwrap_or(1);
    let mut backend = Backend::service(object, name, value as f64, &weight);
    if let Some(namespace) = reference.at("namespace")?.text()? {
        backend.namespace = Some(namespace.to_owned());
    }
    let kind = reference.at("kind")?.text()?.unwrap_or("Service");
    let group = reference.at("group")?.text()?.unwrap_or_default();
    if kind != "Service" || !group.is_empty() {
        backend.pods = PodsOf::Unknown;
    }
    backend.variant = reference.at("port")?.whole()?.map(|port| port.to_string());
    Ok(backend)
}

/// The path and the further conditions of one of `spec.rules[].matches`.
fn http_match(field: &Field<'_>) -> Result<(PathRule, Vec<String>), ManifestError> {
    let path = field.at("path")?;
    let value = path.at("value")?.text()?.unwrap_or("/").to_owned();
    let rule = match path.at("type")?.text()?.unwrap_or("PathPrefix") {
        "Exact" => PathRule::Exact(value),
        "PathPrefix" => PathRule::Prefix(value),
        _ => PathRule::Pattern(value),
    };
    let mut conditions = named(field, "headers", "header")?;
    conditions.extend(named(field, "queryParams", "query parameter")?);
    if let Some(method) = field.at("method")?.text()?
        && method != "GET"
    {
        conditions.push(format!("method {method}"));
    }
    Ok((rule, conditions))
}

/// As [`http_match`]: a call is a POST to `/SERVICE/METHOD`.
fn grpc_match(field: &Field<'_>) -> Result<(PathRule, Vec<String>), ManifestError> {
    let method = field.at("method")?;
    let service = method.at("service")?.text()?;
    let name = method.at("method")?.text()?;
    let is_exact = method.at("type")?.text()?.unwrap_or("Exact") == "Exact";
    let rule = match (service, name) {
        (None, None) => PathRule::any(),
        (Some(service), Some(name)) if is_exact => PathRule::Exact(format!("/{service}/{name}")),
        (Some(service), None) if is_exact => PathRule::Prefix(format!("/{service}")),
        (service, name) => {
            let part = |part: Option<&str>| part.unwrap_or("*").to_owned();
            PathRule::Pattern(format!("/{}/{}", part(service), part(name)))
        }
    };
    Ok((rule, named(field, "headers", "header")?))
}

fn named(field: &Field<'_>, key: &str, noun: &str) -> Result<Vec<String>, ManifestError> {
    let items = field.at(key)?.items()?;
    let told = |item: &Field<'_>| Ok(format!("{noun} {}", item.at("name")?.required()?));
    items.iter().map(told).collect()
}
