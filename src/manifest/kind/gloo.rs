//! Gloo Edge: `VirtualService` and `RouteTable` of `gateway.solo.io`, `routeAction.multi.destinations[].weight`, or
//! those of the `UpstreamGroup` that `routeAction.upstreamGroup` names; relative.
//!
//! A route may delegate to a `RouteTable`, whose matchers have the whole path.

use super::{Context, Kind, Read, Reading};
use crate::manifest::ManifestError;
use crate::manifest::condition::Condition;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route, hosts};

pub(super) const KIND: Kind = Kind {
    names: &["VirtualService", "RouteTable"],
    groups: &["gateway.solo.io"],
    weights: "spec.virtualHost.routes[].routeAction.multi.destinations[].weight (RouteTable: spec.routes[]), UpstreamGroup spec.destinations[].weight",
    meaning: "relative; left out: 0",
    read: Read::All(routes),
};

/// How deep `RouteTable`s may delegate to each other.
const MAX_DEPTH: usize = 8;

fn routes<'a>(own: &[&'a Object], context: &Context<'a>, reading: &mut Reading<'a>) {
    let mut reached: Vec<&'a Object> = Vec::new();
    let services = own.iter().filter(|object| object.kind == "VirtualService");
    for &object in services {
        let read = virtual_service(object, context, &mut reached);
        reading.take(object, read);
    }
    for &object in own {
        let is_reached = reached.iter().any(|known| std::ptr::eq(*known, object));
        if object.kind == "RouteTable" && !is_reached {
            let read = object.root().at("spec");
            let read = read.and_then(|spec| rules(object, &spec, context, &mut reached, 0));
            reading.take(object, read);
        }
    }
}

fn virtual_service<'a>(
    object: &'a Object,
    context: &Context<'a>,
    reached: &mut Vec<&'a Object>,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let host = object.root().along(&["spec", "virtualHost"])?;
    let hosts = hosts(&host.at("domains")?)?;
    let mut routes = rules(object, &host, context, reached, 0)?;
    for route in &mut routes {
        route.hosts.clone_from(&hosts);
        if !std::ptr::eq(route.object, object) {
            route.related.push(object);
        }
    }
    Ok(routes)
}

/// The routes of `holder`, and in their places those of the tables that it delegates to.
fn rules<'a>(
    object: &'a Object,
    holder: &Field<'a>,
    context: &Context<'a>,
    reached: &mut Vec<&'a Object>,
    depth: usize,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    for (index, rule) in holder.at("routes")?.items()?.iter().enumerate() {
        let delegated = rule.at("delegateAction")?;
        if delegated.is_there() {
            let tables = tables(object, &delegated, context)?;
            if depth == MAX_DEPTH {
                return Err(delegated.error("stands below others: do they delegate in a circle?"));
            }
            if tables.is_empty() {
                let name = delegated.along(&["ref", "name"])?.text()?;
                let name = name
                    .or(delegated.at("name")?.text()?)
                    .unwrap_or("of the selector");
                let mut route = Route::elsewhere(object, index + 1, &delegated, "RouteTable", name);
                route.match_any(matches(rule)?);
                routes.push(route);
            }
            for table in tables {
                reached.push(table);
                let spec = table.root().at("spec")?;
                routes.extend(rules(table, &spec, context, reached, depth + 1)?);
            }
            continue;
        }
        let backends = backends(object, &rule.at("routeAction")?, context)?;
        if backends.is_empty() {
            // It redirects, or answers by itself.
            continue;
        }
        let mut route = Route::new(object, index + 1, backends);
        route.match_any(matches(rule)?);
        routes.push(route);
    }
    Ok(routes)
}

/// The tables that a route delegates to, by name or by labels.
fn tables<'a>(
    object: &'a Object,
    delegated: &Field<'a>,
    context: &Context<'a>,
) -> Result<Vec<&'a Object>, ManifestError> {
    let old = delegated.at("name")?;
    let reference = if old.is_there() {
        delegated.clone()
    } else {
        delegated.at("ref")?
    };
    let name = reference.at("name")?.text()?;
    let namespace = reference
        .at("namespace")?
        .text()?
        .or(object.namespace.as_deref());
    let selector = delegated.along(&["selector", "labels"])?.strings()?;
    let mut found = Vec::new();
    for table in context
        .objects
        .iter()
        .filter(|one| one.is("RouteTable", KIND.groups))
    {
        let is_meant = if let Some(name) = name {
            table.is_called(name, namespace)
        } else {
            let labels = table.labels()?;
            let mut wanted = selector.iter();
            !selector.is_empty() && wanted.all(|(key, value)| labels.get(key) == Some(value))
        };
        if is_meant && !std::ptr::eq(table, object) {
            found.push(table);
        }
    }
    Ok(found)
}

fn matches(rule: &Field<'_>) -> Result<Vec<(PathRule, Vec<Condition>)>, ManifestError> {
    let mut matches = Vec::new();
    for matcher in rule.at("matchers")?.items()? {
        let mut path = PathRule::any();
        for (key, make) in [
            ("prefix", PathRule::Prefix as fn(String) -> PathRule),
            ("exact", PathRule::Exact),
            ("regex", PathRule::Pattern),
        ] {
            if let Some(text) = matcher.at(key)?.text()? {
                path = make(text.to_owned());
            }
        }
        let mut conditions = Vec::new();
        for (key, noun) in [
            ("headers", "header"),
            ("queryParameters", "query parameter"),
        ] {
            for item in matcher.at(key)?.items()? {
                let (name, value) = (item.at("name")?.required()?, item.at("value")?.text()?);
                let is_odd = item.at("regex")?.flag()? || item.at("invertMatch")?.flag()?;
                conditions.push(match (noun, value) {
                    _ if is_odd => format!("{noun} {name}").into(),
                    ("header", value) => Condition::header(name, value),
                    (_, value) => Condition::query(name, value),
                });
            }
        }
        let methods = matcher.at("methods")?.items()?;
        if let [method] = &methods[..] {
            conditions.push(Condition::method(method.required()?));
        }
        matches.push((path, conditions));
    }
    Ok(matches)
}

/// What a route's action leads to.
fn backends<'a>(
    object: &'a Object,
    action: &Field<'a>,
    context: &Context<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let single = action.at("single")?;
    if single.is_there() {
        return Ok(vec![backend(object, &single, 100.0, &single)?]);
    }
    let group = action.at("upstreamGroup")?;
    let Some(name) = group.at("name")?.text()? else {
        return weighted(object, &action.along(&["multi", "destinations"])?);
    };
    let namespace = group
        .at("namespace")?
        .text()?
        .or(object.namespace.as_deref());
    let is_meant = |one: &&Object| {
        one.is("UpstreamGroup", &["gloo.solo.io"]) && one.is_called(name, namespace)
    };
    match context.objects.iter().find(is_meant) {
        Some(found) => weighted(found, &found.root().along(&["spec", "destinations"])?),
        None => Err(group.at("name")?.error(&format!(
            "names the UpstreamGroup {name}, which is not among the manifests: give it as well"
        ))),
    }
}

fn weighted<'a>(
    object: &'a Object,
    destinations: &Field<'a>,
) -> Result<Vec<Backend<'a>>, ManifestError> {
    let mut backends = Vec::new();
    for entry in destinations.items()? {
        let weight = entry.at("weight")?;
        let value = weight.whole()?.unwrap_or(0);
        let destination = entry.at("destination")?;
        backends.push(backend(object, &destination, value as f64, &weight)?);
    }
    Ok(backends)
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
