//! Ingresses whose annotation weighs the services of one host and path: Skipper's `zalando.org/backend-weights`
//! (JSON), Traefik 1's `service-weights` (YAML, in percent) and Alibaba's `service-weight` (`new: 20, old: 60`).
//!
//! A service without a weight shares what the others leave of 100 with those like it (Traefik 1's
//! documentation, "General annotations"), gets nothing (Skipper), or counts 100 (Container Service for Kubernetes,
//! "Annotations"). Where none has any weight, Skipper's share evenly.

use std::collections::BTreeMap;

use serde_json::Value;

use super::rule::{self, GROUPS};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::document::documents;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Remark, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Ingress"],
    groups: GROUPS,
    weights: "zalando.org/backend-weights, traefik.ingress.kubernetes.io/service-weights, nginx.ingress.kubernetes.io/service-weight",
    meaning: "Skipper: relative; Traefik 1: percent, those without share the rest; Alibaba: relative, left out: 100",
    read: Read::Each(routes),
};

/// Whose annotation it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Skipper,
    Traefik,
    Alibaba,
}

const ANNOTATIONS: [(&str, Whose); 4] = [
    ("zalando.org/backend-weights", Whose::Skipper),
    (
        "traefik.ingress.kubernetes.io/service-weights",
        Whose::Traefik,
    ),
    ("ingress.kubernetes.io/service-weights", Whose::Traefik),
    ("nginx.ingress.kubernetes.io/service-weight", Whose::Alibaba),
];

/// The annotation that weighs the services of `object`. Alibaba's console leaves one without any weight.
fn annotation(object: &Object) -> Option<(&'static str, Whose)> {
    let annotations = &object.value["metadata"]["annotations"];
    let weighs = |(key, whose): &&(&str, Whose)| match &annotations[*key] {
        Value::String(text) => *whose != Whose::Alibaba || text.contains(':'),
        _ => false,
    };
    ANNOTATIONS.iter().find(weighs).copied()
}

/// Whether an annotation weighs the services of `object`.
pub(super) fn reads(object: &Object) -> bool {
    annotation(object).is_some()
}

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let Some((key, whose)) = annotation(object) else {
        return Ok(Vec::new());
    };
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let field = annotations.at(key)?;
    let weights = weights(&field, whose)?;
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
    let matched = annotations.at("nginx.ingress.kubernetes.io/service-match")?;
    let mut routes = Vec::new();
    for (rule, mut backends) in groups {
        let is_zero =
            backends.len() > 1 && backends.iter().all(|one| one.weight.abs() < f64::EPSILON);
        complete(&mut backends, whose);
        let mut route = rule::route(&rule, backends);
        if is_zero && whose == Whose::Skipper {
            let message =
                "is 0 for all services of a path, which Skipper takes as even shares, not as none";
            let place = (object, field.path().to_owned());
            route.remarks.push(Remark::zero(place, message));
        }
        if whose == Whose::Alibaba && matched.text()?.is_some_and(|text| text.contains(':')) {
            let problem = "decides before the weights, and lbtest does not read it: say the split with --expect";
            route.not_read(&matched, problem);
        }
        routes.push(route);
    }
    Ok(routes)
}

/// Gives a weight to those that have none.
fn complete(backends: &mut [Backend<'_>], whose: Whose) {
    let given: f64 = backends.iter().map(|backend| backend.weight.max(0.0)).sum();
    let open = backends.iter().filter(|backend| backend.weight < 0.0);
    let open = open.count() as f64;
    for backend in backends.iter_mut() {
        let is_open = backend.weight < 0.0;
        backend.weight = match whose {
            Whose::Skipper if given <= 0.0 => 1.0,
            _ if !is_open => backend.weight,
            Whose::Skipper => 0.0,
            Whose::Traefik => (100.0 - given).max(0.0) / open,
            Whose::Alibaba => 100.0,
        };
    }
}

/// The weights of an annotation, by Service.
fn weights(field: &Field<'_>, whose: Whose) -> Result<BTreeMap<String, f64>, ManifestError> {
    let text = field.text()?.unwrap_or_default();
    let text = match whose {
        Whose::Alibaba => format!("{{{}}}", text.trim().trim_end_matches(',')),
        _ => text.to_owned(),
    };
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
