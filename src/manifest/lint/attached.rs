//! Routes that no listener of their Gateways takes: Gateway API's and Istio's.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::kind::gateway::GROUP;
use crate::manifest::object::{Object, full_name};

/// Findings about `object` beside its Gateways among `objects`; one that is not given leaves it open.
pub(super) fn lint(
    object: &Object,
    objects: &[Object],
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let refusal = match (object.group.as_str(), object.kind.as_str()) {
        (GROUP, kind) if kind.ends_with("Route") => by_parents(object, objects)?,
        ("networking.istio.io", "VirtualService") => by_gateways(object, objects)?,
        _ => None,
    };
    if let Some((path, message)) = refusal {
        findings.error("route_not_attached", object, &path, message);
    }
    Ok(())
}

/// The field that is at fault, and why.
type Refusal = (String, String);

/// Why none of the parents takes the route, if that is so.
fn by_parents(object: &Object, objects: &[Object]) -> Result<Option<Refusal>, ManifestError> {
    let mut refusal = None;
    for parent in object.root().along(&["spec", "parentRefs"])?.items()? {
        let Some(refused) = by_parent(object, &parent, objects)? else {
            return Ok(None);
        };
        refusal.get_or_insert(refused);
    }
    Ok(refusal)
}

fn by_parent(
    object: &Object,
    parent: &Field<'_>,
    objects: &[Object],
) -> Result<Option<Refusal>, ManifestError> {
    if parent.at("kind")?.text()?.unwrap_or("Gateway") != "Gateway" {
        return Ok(None);
    }
    let name = parent.at("name")?.text()?.unwrap_or_default();
    let written = parent.at("namespace")?.text()?;
    let namespace = written.or(object.namespace.as_deref());
    let mut gateways = objects.iter().filter(|known| known.is("Gateway", &[GROUP]));
    if let Some(gateway) = gateways
        .clone()
        .find(|known| known.is_called(name, namespace))
    {
        return by_listeners(object, parent, gateway);
    }
    let elsewhere = gateways.find(|known| written.is_none() && known.name == name);
    let other = elsewhere.and_then(|known| known.namespace.as_deref());
    Ok(other.map(|other| {
        let message = format!(
            "names the Gateway {}, and the one of that name is in {other}: add namespace: {other}",
            full_name(namespace, name)
        );
        (parent.path().to_owned(), message)
    }))
}

/// Why no listener of `gateway` takes the route, if that is so.
fn by_listeners(
    object: &Object,
    parent: &Field<'_>,
    gateway: &Object,
) -> Result<Option<Refusal>, ManifestError> {
    let title = gateway.title();
    let (section, port) = (parent.at("sectionName")?, parent.at("port")?.whole()?);
    let (mut own, mut names) = (Vec::new(), Vec::new());
    for listener in gateway.root().along(&["spec", "listeners"])?.items()? {
        let called = listener.at("name")?.text()?;
        names.extend(called);
        let is_named = section.text()?.is_none() || called == section.text()?;
        if is_named && (port.is_none() || listener.at("port")?.whole()? == port) {
            own.push(listener);
        }
    }
    if let Some(wanted) = section.text()?.filter(|wanted| !names.contains(wanted)) {
        let message = format!(
            "is {wanted}, and {title} has no listener of that name ({}): nothing leads to the route",
            names.join(", ")
        );
        return Ok(Some((section.path().to_owned(), message)));
    }
    if let (Some(one), Some(other)) = (object.namespace.as_deref(), gateway.namespace.as_deref())
        && one != other
        && refuse_others(&own)?
    {
        let message = format!(
            "names {title}, whose listeners take routes of {other} alone: nothing leads to the route; let them take those of \
             {one} (allowedRoutes.namespaces.from: All or Selector)"
        );
        return Ok(Some((parent.path().to_owned(), message)));
    }
    let mut takers = Vec::new();
    for listener in own {
        match listener.at("hostname")?.text()? {
            None | Some("") => return Ok(None),
            Some(host) => takers.push(host),
        }
    }
    let hostnames = object.root().along(&["spec", "hostnames"])?;
    Ok(no_host(&hostnames, &takers)?.map(|hosts| {
        let message = format!("{title} has no listener for {hosts}: nothing leads to the route");
        (hostnames.path().to_owned(), message)
    }))
}

/// Whether each of the listeners takes routes of its own namespace alone, as they do unless they say otherwise.
fn refuse_others(listeners: &[Field<'_>]) -> Result<bool, ManifestError> {
    for listener in listeners {
        let from = listener.along(&["allowedRoutes", "namespaces", "from"])?;
        if !matches!(from.text()?, None | Some("Same" | "None")) {
            return Ok(false);
        }
    }
    Ok(!listeners.is_empty())
}

/// Why none of Istio's Gateways takes the hosts of a `VirtualService` (istioctl's IST0132).
fn by_gateways(object: &Object, objects: &[Object]) -> Result<Option<Refusal>, ManifestError> {
    let spec = object.root().at("spec")?;
    let mut takers = Vec::new();
    let mut titles = Vec::new();
    for gateway in spec.at("gateways")?.items()? {
        let name = gateway.required()?;
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (object.namespace.as_deref(), name),
        };
        let is_meant = |known: &&Object| {
            known.is("Gateway", &["networking.istio.io"]) && known.is_called(name, namespace)
        };
        let Some(gateway) = objects.iter().find(is_meant) else {
            return Ok(None);
        };
        titles.push(format!("Gateway {}", full_name(namespace, name)));
        for server in gateway.root().along(&["spec", "servers"])?.items()? {
            for host in server.at("hosts")?.items()? {
                let host = host.required()?;
                takers.push(host.rsplit('/').next().unwrap_or(host));
            }
        }
    }
    let hosts = spec.at("hosts")?;
    if takers.is_empty() || takers.contains(&"*") {
        return Ok(None);
    }
    Ok(no_host(&hosts, &takers)?.map(|asked| {
        let message = format!(
            "{} has no server for {asked}: such requests get 404",
            titles.join(" or ")
        );
        (hosts.path().to_owned(), message)
    }))
}

/// Which hosts are asked for and taken, where not one is both.
fn no_host(hosts: &Field<'_>, takers: &[&str]) -> Result<Option<String>, ManifestError> {
    let mut asked = Vec::new();
    for host in hosts.items()? {
        let host = host.required()?;
        if host == "*" || takers.iter().any(|taker| meet(host, taker)) {
            return Ok(None);
        }
        asked.push(host);
    }
    let message = || format!("{} ({})", asked.join(", "), takers.join(", "));
    Ok((!asked.is_empty() && !takers.is_empty()).then(message))
}

/// Whether two names of hosts, of which each may begin with a wildcard, have a host in common.
fn meet(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (None, None) => one == other,
        (Some(end), None) => other.ends_with(end),
        (None, Some(end)) => one.ends_with(end),
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
    }
}
