//! Gateway API: `HTTPRoute`, `GRPCRoute`, `TCPRoute` and `TLSRoute`, `spec.rules[].backendRefs[].weight`; and
//! Linkerd's `HTTPRoute` of its own group.
//!
//! A reference without a weight has weight 1, one of weight 0 gets nothing (the API's reference,
//! `BackendRef`). A rule without references redirects or answers by itself, and splits nothing.

use super::listener::{self, GROUP};
use super::{Context, Kind, MAX_COMPARED, Read};
use crate::manifest::ManifestError;
use crate::manifest::condition::{Asks, Condition};
use crate::manifest::field::Field;
use crate::manifest::object::{Object, full_name};
use crate::manifest::route::{Backend, PathRule, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"],
    groups: &[GROUP, "policy.linkerd.io"],
    weights: "spec.rules[].backendRefs[].weight",
    meaning: "relative; left out: 1",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, context: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let is_grpc = object.kind == "GRPCRoute";
    let spec = object.root().at("spec")?;
    let hosts = listener::hosts(object, context.objects)?;
    let doors = doors(object)?;
    let mut routes: Vec<Route<'a>> = Vec::new();
    let mut seen: Vec<(usize, PathRule, Vec<Condition>)> = Vec::new();
    for (index, rule) in spec.at("rules")?.items()?.iter().enumerate() {
        let references = rule.at("backendRefs")?.items()?;
        let mut leads_on = false;
        for reference in &references {
            leads_on |= reference
                .at("kind")?
                .text()?
                .is_some_and(|kind| kind.ends_with("Route"));
        }
        if references.is_empty() || leads_on {
            // It answers by itself, and takes requests all the same; or it leads to other routes, which say the rest.
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
        let any = [(PathRule::any(), Vec::new())];
        let own = if matches.is_empty() {
            &any[..]
        } else {
            &matches
        };
        // Of rules that match alike the first counts (the API's reference, `HTTPRouteRule`).
        let before = |(path, more): &(PathRule, Vec<Condition>)| {
            let same = seen
                .iter()
                .find(|(_, known, others)| known == path && others == more);
            same.map(|(rule, ..)| *rule)
        };
        let hidden: Option<Vec<usize>> = own.iter().map(before).collect();
        route.hidden_by = hidden.and_then(|rules| rules.first().copied());
        route.is_grpc = is_grpc;
        if seen.len() < MAX_COMPARED {
            let numbered =
                |(path, more): &(PathRule, Vec<Condition>)| (index + 1, path.clone(), more.clone());
            seen.extend(own.iter().map(numbered));
        }
        route.match_any(matches);
        route.doors.clone_from(&doors);
        routes.push(route);
    }
    Ok(routes)
}

/// The parents that requests come in by.
fn doors(object: &Object) -> Result<Vec<String>, ManifestError> {
    let mut doors = Vec::new();
    for parent in object.root().along(&["spec", "parentRefs"])?.items()? {
        let kind = parent.at("kind")?.text()?.unwrap_or("Gateway");
        let name = parent.at("name")?.text()?.unwrap_or_default();
        let namespace = parent.at("namespace")?.text()?;
        let namespace = namespace.or(object.namespace.as_deref());
        let door = format!("{kind} {}", full_name(namespace, name));
        if !doors.contains(&door) {
            doors.push(door);
        }
    }
    Ok(doors)
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
    if kind != "Service" || !matches!(group, "" | "core") {
        backend.pods = PodsOf::Unknown;
    }
    backend.variant = reference.at("port")?.whole()?.map(|port| port.to_string());
    Ok(backend)
}

/// The path and the further conditions of one of `spec.rules[].matches`.
pub(super) fn http_match(field: &Field<'_>) -> Result<(PathRule, Vec<Condition>), ManifestError> {
    let path = field.at("path")?;
    let value = path.at("value")?.text()?.unwrap_or("/").to_owned();
    let rule = match path.at("type")?.text()?.unwrap_or("PathPrefix") {
        "Exact" => PathRule::Exact(value),
        "PathPrefix" => PathRule::Prefix(value),
        _ => PathRule::Pattern(value),
    };
    let mut conditions = all_named(field, "headers", Condition::header)?;
    conditions.extend(all_named(field, "queryParams", Condition::query)?);
    if let Some(method) = field.at("method")?.text()?
        && method != "GET"
    {
        conditions.push(Condition::method(method));
    }
    Ok((rule, conditions))
}

/// As [`http_match`]: a call is a POST to `/SERVICE/METHOD`.
fn grpc_match(field: &Field<'_>) -> Result<(PathRule, Vec<Condition>), ManifestError> {
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
    Ok((rule, all_named(field, "headers", Condition::header)?))
}

fn all_named(
    field: &Field<'_>,
    key: &str,
    make: fn(&str, Option<&str>) -> Condition,
) -> Result<Vec<Condition>, ManifestError> {
    let items = field.at(key)?.items()?;
    items.iter().map(|item| named(item, make)).collect()
}

/// The condition that a header or a query parameter makes, by `name`, `value` and `type`.
pub(super) fn named(
    item: &Field<'_>,
    make: fn(&str, Option<&str>) -> Condition,
) -> Result<Condition, ManifestError> {
    let (name, value) = (item.at("name")?.required()?, item.at("value")?.text()?);
    let condition = make(name, value);
    let like = match condition.asks {
        Asks::Header(..) => Condition::header_like,
        _ => Condition::query_like,
    };
    Ok(match (item.at("type")?.text()?, value) {
        (None | Some("Exact"), _) => condition,
        (Some("RegularExpression"), Some(pattern)) => like(name, pattern, condition.to_string()),
        _ => Condition::special(condition.to_string()),
    })
}
