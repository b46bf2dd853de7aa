//! Kinds that carry weights and are not read: they are named, and never passed over without a word.

use serde_json::Value;

use super::ALL;
use crate::manifest::object::Object;

/// Kinds that are known to carry weights, and where.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "VirtualRouter",
        "appmesh.k8s.aws",
        "spec.routes[].*Route.action.weightedTargets[].weight",
    ),
    ("ServiceProfile", "linkerd.io", "spec.dstOverrides[].weight"),
];

/// What stands beside a weight of a backend.
const BESIDE: [&str; 12] = [
    "name",
    "service",
    "serviceName",
    "host",
    "destination",
    "backend",
    "upstream",
    "target",
    "targetRef",
    "revisionName",
    "cluster",
    "backendRef",
];

/// Where the weights of `object` stand, if it is of a kind that is not read and has some.
pub(in crate::manifest) fn weights(object: &Object) -> Option<String> {
    let is_read = ALL
        .iter()
        .any(|kind| kind.names.iter().any(|name| object.is(name, kind.groups)));
    if is_read {
        return None;
    }
    let known = KNOWN
        .iter()
        .find(|(kind, group, _)| object.is(kind, &[group]));
    // Kubernetes' own kinds weigh nodes and pods, not requests.
    let is_own = !object.group.contains('.')
        || object.group.ends_with(".k8s.io") && !object.group.contains("networking");
    match known {
        Some((.., path)) => Some((*path).to_owned()),
        None if is_own => None,
        None => found(object.value.get("spec")?, "spec"),
    }
}

/// The path of the first weight of a backend in `value`.
fn found(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            let weighs = map
                .get("weight")
                .is_some_and(|weight| weight.is_number() || weight.is_string());
            if weighs && BESIDE.iter().any(|key| map.contains_key(*key)) {
                return Some(format!("{path}.weight"));
            }
            map.iter()
                .find_map(|(key, value)| found(value, &format!("{path}.{key}")))
        }
        Value::Array(list) => list
            .iter()
            .find_map(|value| found(value, &format!("{path}[]"))),
        _ => None,
    }
}
