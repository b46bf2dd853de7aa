//! Servers of Istio's Gateways: the hosts that they let a `VirtualService` have.
//!
//! A host is `NAMESPACE/NAME`, `./NAME` for the Gateway's own namespace, `*/NAME` or `NAME` for any (the reference of
//! `Server`).

use crate::manifest::ManifestError;
use crate::manifest::host;
use crate::manifest::object::{Object, full_name, same_namespace};
use crate::manifest::route;

/// The hosts that Gateways take for a `VirtualService`.
#[derive(Debug, Default)]
pub(in crate::manifest) struct Taken<'a> {
    /// What the Gateways are called, for a person.
    pub(in crate::manifest) titles: Vec<String>,
    /// Those of its namespace, without it.
    pub(in crate::manifest) hosts: Vec<String>,
    /// As they are written.
    pub(in crate::manifest) written: Vec<&'a str>,
}

/// What the Gateways of `object` take for it; `None` for clients inside the mesh, for a Gateway that is not given,
/// and for any host.
pub(in crate::manifest) fn taken<'a>(
    object: &Object,
    objects: &'a [Object],
) -> Result<Option<Taken<'a>>, ManifestError> {
    let mut taken = Taken::default();
    for gateway in object.root().along(&["spec", "gateways"])?.items()? {
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
        let title = format!("Gateway {}", full_name(namespace, name));
        taken.titles.push(title);
        for server in gateway.root().along(&["spec", "servers"])?.items()? {
            for host in server.at("hosts")?.items()? {
                let written = host.required()?;
                let (of, name) = written.split_once('/').unwrap_or(("*", written));
                let of = match of {
                    "*" => None,
                    "." => gateway.namespace.as_deref(),
                    other => Some(other),
                };
                taken.written.push(written);
                if same_namespace(of, object.namespace.as_deref()) {
                    taken.hosts.push(name.to_owned());
                }
            }
        }
    }
    let is_any = taken.written.is_empty() || taken.hosts.iter().any(|host| host == "*");
    Ok((!is_any).then_some(taken))
}

/// The hosts that `object` answers to: its own as far as its Gateways take them, or theirs where it has any; none
/// means any.
pub(super) fn hosts(object: &Object, objects: &[Object]) -> Result<Vec<String>, ManifestError> {
    let own = route::hosts(&object.root().along(&["spec", "hosts"])?)?;
    let taken = taken(object, objects)?.map_or_else(Vec::new, |taken| taken.hosts);
    // That no server takes it is told by lint.
    Ok(host::common(&own, &taken).unwrap_or(own))
}
