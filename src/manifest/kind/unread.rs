//! Kinds that carry weights and are not read: they are named, and never passed over without a word.

use serde_json::Value;

use super::{is_read, rule};
use crate::manifest::field::joined;
use crate::manifest::object::Object;

/// Kinds whose weights stand under names of their own, and where; of `[]` any entry counts.
const KNOWN: [(&str, &str, &str); 9] = [
    (
        "Ingress",
        "networking.internal.knative.dev",
        "spec.rules[].http.paths[].splits[].percent",
    ),
    (
        "InferenceService",
        "serving.kubeflow.org",
        "spec.canaryTrafficPercent",
    ),
    (
        "SeldonDeployment",
        "machinelearning.seldon.io",
        "spec.predictors[].traffic",
    ),
    (
        "KongPlugin",
        "configuration.konghq.com",
        "config.percentage",
    ),
    (
        "KongClusterPlugin",
        "configuration.konghq.com",
        "config.percentage",
    ),
    (
        "ServiceEntry",
        "networking.istio.io",
        "spec.endpoints[].weight",
    ),
    ("WorkloadEntry", "networking.istio.io", "spec.weight"),
    ("Gslb", "k8gb.absa.oss", "spec.strategy.weight"),
    ("Gslb", "k8gb.io", "spec.strategy.weight"),
];

/// What stands beside a weight of a backend.
const BESIDE: [&str; 17] = [
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
    "ref",
    "authority",
    "virtualNode",
    "virtualNodeRef",
    "virtualNodeName",
];

/// Annotations of an Ingress with weights that are read, beside those of canaries, or that weigh no service.
const READ: [&str; 6] = [
    "zalando.org/backend-weights",
    "traefik.ingress.kubernetes.io/service-weights",
    "ingress.kubernetes.io/service-weights",
    "nginx.ingress.kubernetes.io/service-weight",
    "haproxy-ingress.github.io/initial-weight",
    "ingress.kubernetes.io/initial-weight",
];

/// Where the weights of `object` stand, if it has some that are not read.
pub(in crate::manifest) fn weights(object: &Object) -> Option<String> {
    if rule::is_ingress(object) {
        return annotation(object);
    }
    // It is read where a route of Gloo's names it.
    if is_read(object) || object.is("UpstreamGroup", &["gloo.solo.io"]) {
        return None;
    }
    let known = KNOWN
        .iter()
        .find(|(kind, group, _)| object.is(kind, &[group]));
    // Kubernetes' own kinds weigh nodes and pods, not requests.
    let is_own = !object.group.contains('.')
        || object.group.ends_with(".k8s.io") && !object.group.contains("networking");
    match known {
        Some((.., path)) => is_there(&object.value, path).then(|| (*path).to_owned()),
        None if is_own => None,
        None => found(object.value.get("spec")?, "spec"),
    }
}

/// An annotation that weighs services for a controller whose weights are not read, as BFE's and Citrix's do.
fn annotation(object: &Object) -> Option<String> {
    let annotations = object.value["metadata"]["annotations"].as_object()?;
    let is_unread = |key: &&String| {
        // That a canary's is misspelt, or under a prefix that is not known, is told elsewhere.
        let is_canary = key.contains("canary") && !key.starts_with("ingress.citrix.com/");
        key.contains("weight") && !is_canary && !READ.contains(&key.as_str())
    };
    let key = annotations.keys().find(is_unread)?;
    Some(joined("metadata.annotations", key))
}

/// Whether something stands at `path`.
fn is_there(value: &Value, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let goes_on = |value: &Value| {
        rest.is_empty() && !value.is_null() || !rest.is_empty() && is_there(value, rest)
    };
    match first.strip_suffix("[]") {
        Some(key) => value[key]
            .as_array()
            .is_some_and(|list| list.iter().any(goes_on)),
        None => goes_on(&value[first]),
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
