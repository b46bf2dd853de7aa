//! Routes that no listener of their Gateways takes: Gateway API's and Istio's.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::host;
use crate::manifest::kind::listener::{self, GROUP};
use crate::manifest::kind::server;
use crate::manifest::object::{Object, full_name};
use crate::manifest::route;

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
    if let Some(holder) = listener::holder(object, parent, objects)? {
        return by_listeners(object, parent, holder);
    }
    let written = parent.at("namespace")?.text()?;
    if parent.at("kind")?.text()?.unwrap_or("Gateway") != "Gateway" || written.is_some() {
        return Ok(None);
    }
    let name = parent.at("name")?.text()?.unwrap_or_default();
    let elsewhere = |known: &&Object| known.is("Gateway", &[GROUP]) && known.name == name;
    let elsewhere = objects.iter().find(elsewhere);
    let other = elsewhere.and_then(|known| known.namespace.as_deref());
    Ok(other.map(|other| {
        let message = format!(
            "names the Gateway {}, and the one of that name is in {other}: add namespace: {other}",
            full_name(object.namespace.as_deref(), name)
        );
        (parent.path().to_owned(), message)
    }))
}

/// Why no listener of `holder` takes the route, if that is so.
fn by_listeners(
    object: &Object,
    parent: &Field<'_>,
    holder: &Object,
) -> Result<Option<Refusal>, ManifestError> {
    let title = holder.title();
    let all = holder.root().along(&["spec", "listeners"])?.items()?;
    let own = listener::named(parent, holder)?;
    let section = parent.at("sectionName")?;
    let mut names = Vec::new();
    for listener in &all {
        names.extend(listener.at("name")?.text()?);
    }
    if let Some(wanted) = section.text()?.filter(|wanted| !names.contains(wanted)) {
        let message = format!(
            "is {wanted}, and {title} has no listener of that name ({}): nothing leads to the route",
            names.join(", ")
        );
        return Ok(Some((section.path().to_owned(), message)));
    }
    let mut takers = Vec::new();
    let mut refusals = Vec::new();
    for listener in own {
        match listener::refusal(&listener, &object.kind)? {
            Some(refusal) => refusals.push(refusal),
            None => takers.push(listener),
        }
    }
    if let Some((_, remedy)) = refusals.first().filter(|_| takers.is_empty()) {
        let reasons: Vec<&str> = refusals.iter().map(|(reason, _)| &**reason).collect();
        let message = format!(
            "names {title}, of which no listener takes this {kind} ({}): nothing leads to the route; it {remedy}",
            reasons.join(", "),
            kind = object.kind
        );
        return Ok(Some((parent.path().to_owned(), message)));
    }
    let mut admitting = Vec::new();
    for listener in &takers {
        if listener::admits(listener, holder, object)? {
            admitting.push(listener);
        }
    }
    if let (Some(one), Some(other)) = (object.namespace.as_deref(), holder.namespace.as_deref())
        && admitting.is_empty()
        && !takers.is_empty()
    {
        let message = format!(
            "names {title}, whose listeners take routes of {other} alone: nothing leads to the route; let them take those of \
             {one} (allowedRoutes.namespaces.from: All or Selector)"
        );
        return Ok(Some((parent.path().to_owned(), message)));
    }
    by_hosts(object, &admitting, &title)
}

/// Why none of the `listeners` of what is called `title` takes the hosts of the route, if that is so.
fn by_hosts(
    object: &Object,
    listeners: &[&Field<'_>],
    title: &str,
) -> Result<Option<Refusal>, ManifestError> {
    let mut takers = Vec::new();
    for listener in listeners {
        match listener.at("hostname")?.text()? {
            None | Some("" | "*") => return Ok(None),
            Some(host) => takers.push(host.to_owned()),
        }
    }
    let hostnames = object.root().along(&["spec", "hostnames"])?;
    let asked = route::hosts(&hostnames)?;
    Ok(host::common(&asked, &takers).is_none().then(|| {
        let message = format!(
            "{title} has no listener for {} ({}): nothing leads to the route",
            asked.join(", "),
            takers.join(", ")
        );
        (hostnames.path().to_owned(), message)
    }))
}

/// Why none of Istio's Gateways takes the hosts of a `VirtualService` (istioctl's IST0132).
fn by_gateways(object: &Object, objects: &[Object]) -> Result<Option<Refusal>, ManifestError> {
    let Some(taken) = server::taken(object, objects)? else {
        return Ok(None);
    };
    let hosts = object.root().along(&["spec", "hosts"])?;
    let asked = route::hosts(&hosts)?;
    if !taken.hosts.is_empty() && host::common(&asked, &taken.hosts).is_some() {
        return Ok(None);
    }
    let asked = match &asked[..] {
        [] => "any host".to_owned(),
        asked => asked.join(", "),
    };
    let of = match object.namespace.as_deref() {
        Some(namespace) if taken.hosts.is_empty() => format!(" of namespace {namespace}"),
        _ => String::new(),
    };
    let message = format!(
        "{} has no server for {asked}{of} ({}): such requests get 404",
        taken.titles.join(" or "),
        taken.written.join(", ")
    );
    Ok(Some((hosts.path().to_owned(), message)))
}
