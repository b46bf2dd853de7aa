//! Objects that claim the host and path of another one of their kind.

use std::collections::HashMap;

use serde_json::Value;

use super::finding::Findings;
use crate::manifest::object::Object;
use crate::manifest::route::Route;

/// The kinds of which the older object counts, where requests come in, and what becomes of the younger.
const OLDER_FIRST: [(&str, &str, &str, &str); 4] = [
    (
        "gateway.networking.k8s.io",
        "HTTPRoute",
        "parentRefs",
        "the older route's rule counts",
    ),
    (
        "gateway.networking.k8s.io",
        "GRPCRoute",
        "parentRefs",
        "the older route's rule counts",
    ),
    (
        "networking.istio.io",
        "VirtualService",
        "gateways",
        "Istio joins them and takes the older one's rule first",
    ),
    (
        "route.openshift.io",
        "Route",
        "host",
        "the router takes the older one alone",
    ),
];

/// Findings about rules that ask for the same requests as one of another object.
pub(super) fn lint(routes: &[Route<'_>], findings: &mut Findings) {
    let mut first: HashMap<String, &Route<'_>> = HashMap::new();
    for route in routes {
        let object = route.object;
        let known = OLDER_FIRST
            .iter()
            .find(|(group, kind, ..)| object.is(kind, &[group]));
        // A delegate stands behind the hosts of another.
        let is_whole = route.related.iter().all(|other| other.kind != object.kind);
        let Some((_, _, door, outcome)) = known.filter(|_| is_whole) else {
            continue;
        };
        let hosts = match &route.hosts[..] {
            [] => &[String::new()][..],
            hosts => hosts,
        };
        for host in hosts {
            let place = format!(
                "{} {:?} {host} {:?} {:?} {:?}",
                object.kind,
                doors(object, door),
                route.path,
                route.conditions,
                route.alternatives
            );
            let older = *first.entry(place).or_insert(route);
            let is_other = !std::ptr::eq(older.object, object);
            let is_twin = older.object.full_name() == object.full_name();
            if !is_other || is_twin || older.split() == route.split() {
                continue;
            }
            let (field_of, path) = &route.backends[0].field;
            let message = format!(
                "claims host {} and path {}, as {} does: {outcome}, so that the other gets nothing",
                if host.is_empty() { "(any)" } else { host },
                route.path.shown(),
                older.object.title()
            );
            findings.warning("host_and_path_twice", field_of, path, message);
            break;
        }
    }
}

/// Where its requests come in, as it is written, down to the listener (which `Route::doors` leaves out), and the namespace
/// that what is written is read in.
fn doors<'a>(object: &'a Object, door: &str) -> (Option<&'a Value>, Option<&'a str>) {
    let written = object.value.get("spec").and_then(|spec| spec.get(door));
    (written, object.namespace.as_deref())
}
