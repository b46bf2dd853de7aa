//! Listeners of Gateways of the Gateway API: which of them a route asks for, and the hosts that they let it have.

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::host;
use crate::manifest::object::Object;
use crate::manifest::route;

/// The group of Gateways and their routes.
pub(in crate::manifest) const GROUP: &str = "gateway.networking.k8s.io";

/// The kinds that hold listeners.
const HOLDERS: [&str; 3] = ["Gateway", "ListenerSet", "XListenerSet"];

/// What holds the listeners that `parent` of the route `object` asks for, if it is there.
pub(in crate::manifest) fn holder<'a>(
    object: &Object,
    parent: &Field<'_>,
    objects: &'a [Object],
) -> Result<Option<&'a Object>, ManifestError> {
    let kind = parent.at("kind")?.text()?.unwrap_or("Gateway");
    let name = parent.at("name")?.text()?.unwrap_or_default();
    let written = parent.at("namespace")?.text()?;
    let namespace = written.or(object.namespace.as_deref());
    let is_meant = |known: &&Object| {
        HOLDERS.contains(&kind)
            && known.is(kind, &[GROUP, "gateway.networking.x-k8s.io"])
            && known.is_called(name, namespace)
    };
    Ok(objects.iter().find(is_meant))
}

/// The listeners of `holder` that `parent` asks for, by name and port.
pub(in crate::manifest) fn named<'a>(
    parent: &Field<'_>,
    holder: &'a Object,
) -> Result<Vec<Field<'a>>, ManifestError> {
    let section = parent.at("sectionName")?.text()?;
    let port = parent.at("port")?.whole()?;
    let mut own = Vec::new();
    for listener in holder.root().along(&["spec", "listeners"])?.items()? {
        let is_named = section.is_none() || listener.at("name")?.text()? == section;
        if is_named && (port.is_none() || listener.at("port")?.whole()? == port) {
            own.push(listener);
        }
    }
    Ok(own)
}

/// Why a listener takes no routes of `kind`, with the remedy; `None` if it does, or if that can't be told.
pub(in crate::manifest) fn refusal(
    listener: &Field<'_>,
    kind: &str,
) -> Result<Option<(String, String)>, ManifestError> {
    // What the protocols support is in the API's reference, `ProtocolType`.
    let protocol = listener.at("protocol")?.text()?.unwrap_or_default();
    let needed: &[&str] = match kind {
        "HTTPRoute" | "GRPCRoute" => &["HTTP", "HTTPS"],
        "TLSRoute" => &["TLS"],
        "TCPRoute" => &["TCP", "TLS"],
        _ => return Ok(None),
    };
    let name = listener.at("name")?.text()?.unwrap_or("one");
    let is_known = ["HTTP", "HTTPS", "TLS", "TCP", "UDP"].contains(&protocol);
    if is_known && !needed.contains(&protocol) {
        let remedy = format!("needs one with protocol {}", needed.join(" or "));
        return Ok(Some((format!("{name} has protocol {protocol}"), remedy)));
    }
    let mut kinds = Vec::new();
    for allowed in listener.along(&["allowedRoutes", "kinds"])?.items()? {
        kinds.extend(allowed.at("kind")?.text()?);
    }
    if kinds.is_empty() || kinds.contains(&kind) {
        return Ok(None);
    }
    let remedy = format!("needs {kind} among allowedRoutes.kinds");
    Ok(Some((
        format!("{name} allows {}", kinds.join(", ")),
        remedy,
    )))
}

/// Whether a listener of `holder` takes routes of the namespace of `object`; by default those of its own.
pub(in crate::manifest) fn admits(
    listener: &Field<'_>,
    holder: &Object,
    object: &Object,
) -> Result<bool, ManifestError> {
    let (one, other) = (object.namespace.as_deref(), holder.namespace.as_deref());
    let is_other = one.is_some() && other.is_some() && one != other;
    let from = listener.along(&["allowedRoutes", "namespaces", "from"])?;
    Ok(!is_other || !matches!(from.text()?, None | Some("Same" | "None")))
}

/// The hosts that the route `object` answers to: its own as far as its listeners take them, or theirs where it has
/// none; none means any.
pub(super) fn hosts(object: &Object, objects: &[Object]) -> Result<Vec<String>, ManifestError> {
    let own = route::hosts(&object.root().along(&["spec", "hostnames"])?)?;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    let mut is_taken = false;
    for parent in object.root().along(&["spec", "parentRefs"])?.items()? {
        let Some(holder) = holder(object, &parent, objects)? else {
            if own.is_empty() {
                continue;
            }
            // What is not given may take all of them.
            return Ok(own);
        };
        for listener in named(&parent, holder)? {
            let is_open =
                refusal(&listener, &object.kind)?.is_none() && admits(&listener, holder, object)?;
            is_taken |= is_open;
            match listener.at("hostname")?.text()? {
                Some(host) if host != "*" && !host.is_empty() => {
                    let hosts = if is_open { &mut taken } else { &mut refused };
                    hosts.push(host.to_owned());
                }
                // One listener for any host is enough.
                _ if is_open => return Ok(own),
                _ => {}
            }
        }
    }
    // That no listener takes the route is told by lint; what it was meant for is asked all the same.
    let hosts = if is_taken { taken } else { refused };
    Ok(host::common(&own, &hosts).unwrap_or(own))
}
