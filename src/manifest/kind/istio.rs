//! Istio: `VirtualService`, `spec.http[].route[].weight`, `tcp` and `tls` as well, with the subsets of
//! `DestinationRule`s.
//!
//! "If there is only one destination in a rule, it will receive all traffic"; of several, those without
//! a weight get nothing (the reference of `HTTPRouteDestination`). Rules count in their order. A rule may
//! delegate to a `VirtualService` without hosts, whose rules take what both match.

mod delegate;
mod matched;

use std::collections::BTreeMap;

use super::{Context, Kind, MAX_COMPARED, Read, Reading, server};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::{Object, full_name, same_namespace};
use crate::manifest::route::{Backend, PathRule, PodsOf, Remark, Route};
use matched::{Match, read_match};

const GROUP: &[&str] = &["networking.istio.io"];

pub(super) const KIND: Kind = Kind {
    names: &["VirtualService"],
    groups: GROUP,
    weights: "spec.http[].route[].weight, spec.tcp[].route[].weight, spec.tls[].route[].weight",
    meaning: "relative; a single destination gets all, of several one without a weight gets nothing",
    read: Read::All(routes),
};

fn routes<'a>(own: &[&'a Object], context: &Context<'a>, reading: &mut Reading<'a>) {
    let mut reached = Vec::new();
    for &object in own {
        let read = read(object, own, context, &mut reached);
        reading.take(object, read);
    }
    // What another one delegates to is told there.
    reading.routes.retain(|route| {
        !reached
            .iter()
            .any(|known| std::ptr::eq(*known, route.object) && route.related.is_empty())
    });
}

/// The rules of `object`, and in their places those that it delegates to, which go to `reached`.
#[expect(clippy::too_many_lines, reason = "each arm is a field")]
fn read<'a>(
    object: &'a Object,
    own: &[&'a Object],
    context: &Context<'a>,
    reached: &mut Vec<&'a Object>,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let hosts = server::hosts(object, context.objects)?;
    let doors = doors(object)?;
    let mut routes = Vec::new();
    let mut seen: Vec<(usize, Match)> = Vec::new();
    for (index, rule) in spec.at("http")?.items()?.iter().enumerate() {
        let matches = rule.at("match")?.items()?;
        let mut matches: Vec<_> = matches.iter().map(read_match).collect::<Result<_, _>>()?;
        if matches.is_empty() {
            matches.push(Match::any());
        }
        let hidden_by = hidden_by(&matches, &seen);
        let mut found = rule_routes(object, rule, index + 1, context)?;
        let mut delegated = Vec::new();
        let field = rule.along(&["delegate", "name"])?;
        match (delegate(object, rule, own)?, field.text()?) {
            (Some(delegate), _) => {
                reached.push(delegate);
                delegated = read_http(delegate, rule, (object, index + 1), context)?;
            }
            (None, Some(name)) => {
                let elsewhere = Route::elsewhere(object, index + 1, &field, "VirtualService", name);
                found.push(elsewhere);
            }
            (None, None) => {}
        }
        for route in &mut found {
            narrow(route, &matches);
        }
        found.append(&mut delegated);
        for route in &mut found {
            route.doors.clone_from(&doors);
            if route.hosts.is_empty() {
                route.hosts.clone_from(&hosts);
            }
            route.hidden_by = route.hidden_by.or(hidden_by);
        }
        routes.extend(found);
        if seen.len() < MAX_COMPARED {
            seen.extend(matches.into_iter().map(|one| (index + 1, one)));
        }
    }
    let numbered = routes.len();
    for (key, noun) in [("tcp", "port"), ("tls", "sniHosts")] {
        for (index, rule) in spec.at(key)?.items()?.iter().enumerate() {
            for mut route in rule_routes(object, rule, numbered + index + 1, context)? {
                route.hosts.clone_from(&hosts);
                route.doors.clone_from(&doors);
                for matched in rule.at("match")?.items()? {
                    let names = matched
                        .at(noun)
                        .ok()
                        .map(|field| field.items().unwrap_or_default());
                    let first =
                        names.and_then(|names| names.first().and_then(|name| name.text().ok()?));
                    route.hosts = first.map_or(route.hosts, |first| vec![first.to_owned()]);
                }
                routes.push(route);
            }
        }
    }
    Ok(routes)
}

/// The `http` rules of a delegate, whose own delegates do not count, with what `rule`, number `number` of `root`, asks
/// for as well.
fn read_http<'a>(
    object: &'a Object,
    rule: &Field<'a>,
    (root, number): (&'a Object, usize),
    context: &Context<'a>,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut routes = Vec::new();
    let own = object.root().along(&["spec", "http"])?.items()?;
    for (index, own) in own.iter().enumerate() {
        let merged = delegate::merged(rule, own)?;
        for mut route in rule_routes(object, own, index + 1, context)? {
            match &merged {
                Some(matches) => narrow(&mut route, matches),
                None => left_out(&mut route, &own.at("match")?, root, number),
            }
            route.related.push(root);
            routes.push(route);
        }
    }
    Ok(routes)
}

/// That Istio leaves out `route`, which a rule of `root` delegates to: `field` asks for other requests.
fn left_out<'a>(route: &mut Route<'a>, field: &Field<'a>, root: &Object, number: usize) {
    let message = format!(
        "asks for requests that rule {number} of {} does not lead here, so that Istio leaves this rule out: narrow each match \
         to a part of that rule's (such as a path below its prefix; a regex counts for none)",
        root.title()
    );
    route.unready = Some(field.error(&message));
    route.remarks.push(Remark {
        is_error: true,
        code: "delegate_left_out",
        field: (route.object, field.path().to_owned()),
        message,
    });
}

/// The `VirtualService` that a rule delegates to.
fn delegate<'a>(
    object: &'a Object,
    rule: &Field<'a>,
    own: &[&'a Object],
) -> Result<Option<&'a Object>, ManifestError> {
    let field = rule.at("delegate")?;
    let Some(name) = field.at("name")?.text()? else {
        return Ok(None);
    };
    let namespace = field
        .at("namespace")?
        .text()?
        .or(object.namespace.as_deref());
    let is_meant = |one: &&&Object| one.is_called(name, namespace) && !std::ptr::eq(**one, object);
    Ok(own.iter().find(is_meant).copied())
}

/// The rule before that takes all requests of these `matches`.
fn hidden_by(matches: &[Match], seen: &[(usize, Match)]) -> Option<usize> {
    let taken = |one: &Match| {
        let earlier = seen.iter().find(|(_, earlier)| earlier.covers(one));
        earlier.map(|(rule, _)| *rule)
    };
    matches
        .iter()
        .map(taken)
        .collect::<Option<Vec<_>>>()?
        .first()
        .copied()
}

/// What `matches` ask for is asked of the requests of `route` as well.
fn narrow(route: &mut Route<'_>, matches: &[Match]) {
    // Of several matches one is enough: the one that asks for least.
    let Some(least) = matches.iter().min_by_key(|read| read.conditions.len()) else {
        return;
    };
    if route.path == PathRule::any() {
        route.path = least.path.clone();
    }
    if route.conditions.is_empty() && route.alternatives.is_empty() {
        let others = matches.iter().filter(|other| !std::ptr::eq(*other, least));
        let others = others.filter(|other| other.authority.is_none());
        route.alternatives = others
            .map(|other| (other.path.clone(), other.conditions.clone()))
            .collect();
    }
    route.conditions.extend(least.conditions.iter().cloned());
    if let Some(authority) = &least.authority {
        route.hosts = vec![authority.clone()];
    }
}

/// The destinations of one rule; none if it redirects, answers by itself or delegates.
fn rule_routes<'a>(
    object: &'a Object,
    rule: &Field<'a>,
    number: usize,
    context: &Context<'a>,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let destinations = rule.at("route")?.items()?;
    if destinations.is_empty() {
        return Ok(Vec::new());
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
            backend.pods = PodsOf::Subset(labels_of(&backend, subset, context.objects)?);
        } else if let Some(port) = target.along(&["port", "number"])?.whole()? {
            backend.variant = Some(port.to_string());
        }
        backends.push(backend);
    }
    let zero = is_single && destinations[0].at("weight")?.whole()? == Some(0);
    let zero = zero.then(|| backends[0].field.clone());
    let mut route = Route::new(object, number, backends);
    route.rule_name = rule.at("name")?.text()?;
    let message = "is 0, and yet the only destination of a rule gets all of its requests";
    route
        .remarks
        .extend(zero.map(|field| Remark::zero(field, message)));
    Ok(vec![route])
}

/// The Gateways that requests come in by; without any they are those of clients inside the mesh.
fn doors(object: &Object) -> Result<Vec<String>, ManifestError> {
    let door = |gateway: Field<'_>| {
        let name = gateway.required()?;
        let namespace = object.namespace.as_deref();
        let is_own = !name.contains('/') && name != "mesh";
        let name = full_name(namespace.filter(|_| is_own), name);
        Ok(format!("Gateway {name}"))
    };
    let gateways = object.root().along(&["spec", "gateways"])?.items()?;
    gateways.into_iter().map(door).collect()
}

/// The Service that a destination's host names: `reviews`, or `reviews.prod.svc.cluster.local`.
pub(in crate::manifest) fn service<'a>(
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

/// The `DestinationRule`s of the backend's host.
pub(in crate::manifest) fn destination_rules<'o>(
    backend: &Backend<'_>,
    objects: &'o [Object],
) -> Result<Vec<&'o Object>, ManifestError> {
    let mut found = Vec::new();
    for object in objects
        .iter()
        .filter(|object| object.is("DestinationRule", GROUP))
    {
        let spec = object.root().at("spec")?;
        let host = service(object, &spec.at("host")?, 0.0, &spec)?;
        if host.name == backend.name
            && same_namespace(host.namespace.as_deref(), backend.namespace.as_deref())
        {
            found.push(object);
        }
    }
    Ok(found)
}

/// The labels of a subset, from the `DestinationRule` of the backend's host; none where that is not there.
fn labels_of(
    backend: &Backend<'_>,
    subset: &str,
    objects: &[Object],
) -> Result<BTreeMap<String, String>, ManifestError> {
    for object in destination_rules(backend, objects)? {
        for candidate in object.root().along(&["spec", "subsets"])?.items()? {
            if candidate.at("name")?.required()? == subset {
                let labels = candidate.at("labels")?.strings()?;
                let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
                return Ok(labels.into_iter().map(owned).collect());
            }
        }
    }
    Ok(BTreeMap::new())
}
