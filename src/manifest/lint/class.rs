//! Ingresses that another controller than ingress-nginx reads, or none.

use std::collections::HashMap;

use super::finding::Findings;
use crate::manifest::kind::rule::{PREFIX, Rule};
use crate::manifest::object::Object;

/// Prefixes of other controllers that know canary annotations of their own.
const OTHERS: [&str; 5] = [
    "ingress.citrix.com/",
    "higress.io/",
    "mse.ingress.kubernetes.io/",
    "alb.ingress.kubernetes.io/",
    "apisix.ingress.kubernetes.io/",
];

/// Controllers that read ingress-nginx's annotations, by what `IngressClass` calls them.
const READERS: [&str; 4] = ["ingress-nginx", "traefik", "higress", "mse"];

/// Classes that are known by their names, and whose controllers pass over ingress-nginx's annotations.
const IGNORING: [&str; 12] = [
    "alb",
    "gce",
    "gce-internal",
    "haproxy",
    "kong",
    "contour",
    "istio",
    "cilium",
    "openshift-default",
    "azure-application-gateway",
    "azure/application-gateway",
    "ambassador",
];

/// A canary annotation under a prefix that ingress-nginx does not read.
pub(super) fn prefix(object: &Object, path: &str, key: &str, findings: &mut Findings) {
    let (prefix, name) = key.rsplit_once(['/', '.']).unwrap_or(("", key));
    let is_meant = match name {
        "canary" => prefix.contains("nginx") || prefix.contains("ingress"),
        name => name.starts_with("canary-weight") || name.starts_with("canary-by-"),
    };
    if is_meant && !OTHERS.contains(&format!("{prefix}/").as_str()) {
        let message = format!(
            "stands under a prefix that ingress-nginx does not read, so that the Ingress is no canary: write the prefix {PREFIX}"
        );
        findings.error("unknown_canary_annotation", object, path, message);
    }
}

/// A canary of a class whose controller passes over its annotations.
pub(super) fn lint(rule: &Rule<'_>, objects: &[Object], findings: &mut Findings) {
    let Some(class) = rule.class else { return };
    let named = objects
        .iter()
        .find(|object| object.kind == "IngressClass" && object.name == class);
    let controller = named.and_then(|named| named.value["spec"]["controller"].as_str());
    let ignores = match controller {
        Some(controller) => !READERS.iter().any(|reader| controller.contains(reader)),
        None => IGNORING.contains(&class),
    };
    if ignores {
        let message = format!(
            "is {class}, whose controller ({}) does not read {PREFIX}canary: the Ingress is no canary for it",
            controller.unwrap_or(class)
        );
        findings.error(
            "class_without_canary",
            rule.object,
            "spec.ingressClassName",
            message,
        );
    }
}

/// Two Ingresses that claim one host and path: ingress-nginx takes the older one's rule alone.
pub(super) fn same_place(primaries: &[Rule<'_>], findings: &mut Findings) {
    let mut first: HashMap<(String, &str, &str, Option<&str>), &Rule<'_>> = HashMap::new();
    for rule in primaries {
        let place = (
            rule.host.to_ascii_lowercase(),
            rule.path,
            rule.path_type,
            rule.class,
        );
        let known = first.entry(place).or_insert(rule);
        let is_other = !std::ptr::eq(known.object, rule.object) && known.service != rule.service;
        let is_twin = known.object.full_name() == rule.object.full_name();
        if is_other && !is_twin && is_nginx(rule.class) {
            let message = format!(
                "claims host {} and path {}, as {} does: ingress-nginx takes the older Ingress's rule alone, so that the other \
                 gets nothing",
                if rule.host.is_empty() {
                    "(any)"
                } else {
                    rule.host
                },
                rule.path,
                known.object.title()
            );
            findings.warning(
                "host_and_path_twice",
                rule.object,
                rule.field.path(),
                message,
            );
        }
    }
}

/// Whether the class may be one of ingress-nginx's.
fn is_nginx(class: Option<&str>) -> bool {
    class.is_none_or(|class| !IGNORING.contains(&class) && !matches!(class, "higress" | "mse"))
}
