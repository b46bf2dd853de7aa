//! Ingresses whose annotation weighs the services of one host and path: Skipper's
//! `zalando.org/backend-weights` (JSON) and Traefik 1's `service-weights` (YAML, in percent).
//!
//! A service without a weight shares what the others leave of 100 with those like it (Traefik 1's
//! documentation, "General annotations"); with Skipper it gets nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rule::{self, GROUPS};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::document::documents;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "zalando.org/backend-weights, traefik.ingress.kubernetes.io/service-weights",
    meaning: "Skipper: relative; Traefik 1: percent, those without share the rest",
    read: Read::Each(routes),
};

const SKIPPER: &str = "zalando.org/backend-weights";
const TRAEFIK: [&str; 2] = [
    "traefik.ingress.kubernetes.io/service-weights",
    "ingress.kubernetes.io/service-weights",
];

/// Whether an annotation weighs the services of `object`.
pub(super) fn reads(object: &Object) -> bool {
    let annotations = &object.value["metadata"]["annotations"];
    [SKIPPER, TRAEFIK[0], TRAEFIK[1]]
        .iter()
        .any(|key| annotations[*key].is_string())
}

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    if !reads(object) {
        return Ok(Vec::new());
    }
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let skipper = annotations.at(SKIPPER)?;
    let is_skipper = skipper.is_there();
    let mut field = skipper;
    for key in TRAEFIK {
        if !field.is_there() {
            field = annotations.at(key)?;
        }
    }
    let weights = weights(&field)?;
    let mut groups: Vec<(rule::Rule<'a>, Vec<Backend<'a>>)> = Vec::new();
    for rule in rule::rules(object)? {
        let Some((name, _)) = &rule.service else {
            continue;
        };
        let weight = weights.get(*name).copied().unwrap_or(-1.0);
        let backend = Backend::service(object, name, weight, &field);
        let known = groups
            .iter_mut()
            .find(|(first, _)| first.host == rule.host && first.path == rule.path);
        match known {
            Some((_, backends)) => backends.push(backend),
            None => groups.push((rule, vec![backend])),
        }
    }
    let route = |(rule, mut backends): (rule::Rule<'a>, Vec<Backend<'a>>)| {
        let given: f64 = backends.iter().map(|backend| backend.weight.max(0.0)).sum();
        let open = backends
            .iter()
            .filter(|backend| backend.weight < 0.0)
            .count() as f64;
        for backend in backends.iter_mut().filter(|backend| backend.weight < 0.0) {
            backend.weight = match is_skipper {
                true if given > 0.0 => 0.0,
                true => 1.0,
                false => (100.0 - given).max(0.0) / open,
            };
        }
        rule::route(&rule, backends)
    };
    Ok(groups.into_iter().map(route).collect())
}

/// The weights of an annotation, by Service.
fn weights(field: &Field<'_>) -> Result<BTreeMap<String, f64>, ManifestError> {
    let text = field.text()?.unwrap_or_default();
    let read = documents(text.as_bytes(), false).map_err(|problem| field.error(&problem))?;
    let Some(Value::Object(map)) = read.into_iter().next().map(|document| document.value) else {
        return Err(field.error("must be a mapping of services to weights"));
    };
    let weight = |(name, value): (String, Value)| {
        let weight = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().trim_end_matches('%').parse().ok(),
            _ => None,
        };
        let weight = weight.filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
        let problem = format!("has no weight of at least 0 for {}", name.escape_debug());
        weight
            .map(|weight| (name, weight))
            .ok_or_else(|| field.error(&problem))
    };
    map.into_iter().map(weight).collect()
}
