//! Rules of any kind: weights, the order of rules, references that lead nowhere.

use serde_json::Value;

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::kind::listener::GROUP;
use crate::manifest::kind::{self, istio, rollout};
use crate::manifest::object::{Object, full_name, same_namespace};
use crate::manifest::route::{Backend, Place, PodsOf, Route};
use crate::manifest::workload::Workloads;

/// Findings about a route among `routes`.
pub(super) fn lint<'a>(
    route: &Route<'a>,
    routes: &[Route<'a>],
    objects: &'a [Object],
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    weights(route, findings);
    for remark in &route.remarks {
        let (object, path) = &remark.field;
        if remark.is_error {
            findings.error(remark.code, object, path, remark.message.clone());
        } else {
            findings.warning(remark.code, object, path, remark.message.clone());
        }
    }
    if let Some(rule) = route.hidden_by {
        hidden(route, rule, routes, findings);
    }
    for backend in &route.backends {
        subset(route, backend, objects, workloads, findings)?;
        grant(route, backend, objects, findings)?;
        without_pods(route, backend, workloads, findings)?;
    }
    Ok(())
}

/// That rule number `rule` of the same object takes all requests of `route`.
fn hidden(route: &Route<'_>, rule: usize, routes: &[Route<'_>], findings: &mut Findings) {
    let (object, path) = &route.backends[0].field;
    let text = format!(
        "rule {} is never reached: rule {rule} takes every request that it asks for",
        route.rule
    );
    let is_alike = |other: &&Route<'_>| {
        std::ptr::eq(other.object, route.object)
            && other.rule == rule
            && other.split() == route.split()
    };
    if routes.iter().any(|other| is_alike(&other)) {
        let message = format!("{text}, and leads to the same backends; what else it says is lost");
        findings.warning("rule_never_reached", object, path, message);
    } else {
        let split = route.split();
        let remedy = match route.priority {
            Some(priority) => {
                format!("its priority is {priority}: raise it above that of rule {rule}")
            }
            None => "put the narrower rule first".to_owned(),
        };
        let message = format!("{text} ({split}); {remedy}, or remove one");
        findings.error("rule_never_reached", object, path, message);
    }
}

fn weights(route: &Route<'_>, findings: &mut Findings) {
    if route.total() > 0.0 || route.unready.is_some() {
        return;
    }
    let (object, path) = &route.backends[0].field;
    let message = format!(
        "the weights of rule {} sum to 0: no backend gets any request ({})",
        route.rule,
        route.split()
    );
    findings.error("weights_sum_to_zero", object, path, message);
}

/// A subset that no `DestinationRule` has (istioctl's IST0101), or that has no pods.
fn subset<'a>(
    route: &Route<'a>,
    backend: &Backend<'a>,
    objects: &[Object],
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let (PodsOf::Subset(labels), Some(subset)) = (&backend.pods, &backend.variant) else {
        return Ok(());
    };
    if !labels.is_empty() {
        let all = Backend {
            pods: PodsOf::Service,
            ..backend.clone()
        };
        // A Rollout adds labels to its subsets.
        let is_driven = route.related.iter().any(|other| other.kind == "Rollout");
        if !is_driven && !workloads.of(&all)?.is_empty() && workloads.of(backend)?.is_empty() {
            let (object, path) = &backend.field;
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let message = format!(
                "leads to the subset {subset}, and no pod of Service {} has its labels ({}): its share gets 503",
                backend.name,
                labels.join(", ")
            );
            findings.error("selector_matches_nothing", object, path, message);
        }
        return Ok(());
    }
    let rules = istio::destination_rules(backend, objects)?;
    for rule in &rules {
        for known in rule.root().along(&["spec", "subsets"])?.items()? {
            if known.at("name")?.text()? == Some(subset) {
                return Ok(());
            }
        }
    }
    let (object, path) = &backend.field;
    let Some(rule) = rules.first() else {
        let namespace = backend.namespace.as_deref();
        if workloads.service(&backend.name, namespace).is_some() {
            let message = format!(
                "leads to a subset, and no DestinationRule of {} is among the manifests: without one its share gets 503",
                backend.name
            );
            findings.warning("subset_not_found", object, path, message);
        }
        return Ok(());
    };
    let message = format!(
        "leads to the subset {subset}, which {} has not: its share gets 503; add the subset or name another",
        rule.title()
    );
    findings.error("subset_not_found", object, path, message);
    Ok(())
}

/// A route of the Gateway API that leads to another namespace needs a `ReferenceGrant` there.
fn grant(
    route: &Route<'_>,
    backend: &Backend<'_>,
    objects: &[Object],
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let (object, path) = &backend.field;
    if object.group != GROUP {
        return Ok(());
    }
    let (Some(own), Some(other)) = (object.namespace.as_deref(), backend.namespace.as_deref())
    else {
        return Ok(());
    };
    if own == other {
        return Ok(());
    }
    for parent in object.root().along(&["spec", "parentRefs"])?.items()? {
        // In a mesh a consumer's route may lead to the namespace of the Service that it is for.
        if parent.at("kind")?.text()? == Some("Service")
            && parent.at("namespace")?.text()? == Some(other)
        {
            return Ok(());
        }
    }
    for grant in objects.iter().filter(|grant| {
        (grant.is("ReferenceGrant", &[GROUP]) || grant.is("ReferencePolicy", &[GROUP]))
            && same_namespace(grant.namespace.as_deref(), Some(other))
    }) {
        let spec = grant.root().at("spec")?;
        let mut is_from = false;
        for from in spec.at("from")?.items()? {
            is_from |= from.at("kind")?.text()? == Some(object.kind.as_str())
                && from.at("namespace")?.text()? == Some(own)
                && from.at("group")?.text()? == Some(GROUP);
        }
        for to in spec.at("to")?.items()? {
            let name = to.at("name")?.text()?;
            let kind = to.at("kind")?.text()?;
            let is_service = kind == Some("Service") || backend.pods == PodsOf::Unknown;
            if is_from && is_service && name.is_none_or(|name| name == backend.name) {
                return Ok(());
            }
        }
    }
    let outcome = if matches!(object.kind.as_str(), "TCPRoute" | "TLSRoute") {
        "of the connections are refused"
    } else {
        "of the requests get 500"
    };
    let share = 100.0 * backend.weight / route.total().max(f64::MIN_POSITIVE);
    let to = match backend.pods {
        PodsOf::Unknown => "its kind",
        _ => "Service",
    };
    let message = format!(
        "leads to {}, and no ReferenceGrant in {other} allows that from {own}: {share:.0} % {outcome}; \
         add one in {other} (from {} of {own}, to {to})",
        full_name(Some(other), &backend.name),
        object.kind
    );
    findings.warning("no_reference_grant", object, path, message);
    Ok(())
}

/// A backend whose workloads are scaled to nothing.
fn without_pods<'a>(
    route: &Route<'a>,
    backend: &Backend<'a>,
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let is_driven = |object: &&Object| matches!(object.kind.as_str(), "Rollout" | "Canary");
    if backend.weight <= 0.0 && backend.role.is_none() && route.backends.len() < 2
        || route.related.iter().any(is_driven)
        || matches!(route.place, Place::Controller { .. })
        || route.hidden_by.is_some()
    {
        return Ok(());
    }
    let found = workloads.of(backend)?;
    let is_empty = |found: &&crate::manifest::workload::Workload<'_>| {
        found.pods() == Some(0) && !workloads.is_scaled(found)
    };
    let Some(first) = found.first().filter(|_| found.iter().all(is_empty)) else {
        return Ok(());
    };
    let is_ingress = kind::rule::is_ingress(route.object) && route.backends.len() > 1;
    let is_primary = std::ptr::eq(backend, &raw const route.backends[0]);
    let what = match (is_ingress, is_primary) {
        (true, true) => {
            "ingress-nginx answers 503 to every request then, the canary's share included"
        }
        (true, false) => "ingress-nginx then gives its share to the primary",
        _ if backend.weight <= 0.0 => return Ok(()),
        _ => "its share of the requests fails",
    };
    let kept = if workloads.stays_at_0(first) {
        ", which its HorizontalPodAutoscaler takes for switched off"
    } else {
        ""
    };
    let message = format!(
        "is 0{kept}, so that {} has no pods: {what}; scale it up, or take it out of the split",
        backend.name
    );
    findings.error(
        "backend_without_pods",
        first.object,
        "spec.replicas",
        message,
    );
    Ok(())
}

/// Routers that Argo Rollouts doesn't know, and objects that a controller names and that are not there.
pub(super) fn controller(
    object: &Object,
    objects: &[Object],
    route: &Route<'_>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let Place::Controller { drives, .. } = &route.place else {
        return Ok(());
    };
    if object.kind == "Rollout" {
        let routing = object
            .root()
            .along(&["spec", "strategy", "canary", "trafficRouting"])?;
        for key in routing.keys()? {
            let is_known = rollout::ROUTERS.contains(&key)
                || matches!(key, "plugins" | "managedRoutes" | "maxTrafficWeight");
            if !is_known {
                let message = format!(
                    "is no router of Argo Rollouts, so that nothing routes requests: it has {} and plugins",
                    rollout::ROUTERS.join(", ")
                );
                findings.error("unknown_router", object, routing.at(key)?.path(), message);
            }
        }
        for driven in drives {
            let same_kind = || objects.iter().filter(|known| known.kind == driven.kind);
            let namespace = driven.namespace.as_deref();
            let is_meant = |known: &&Object| known.is_called(&driven.name, namespace);
            let found = same_kind().find(is_meant);
            if let Some(found) = found {
                lacks_canary(object, found, findings)?;
            }
            // TrafficSplits are made by the controller.
            if found.is_none() && driven.kind != "TrafficSplit" && same_kind().next().is_some() {
                let message = format!(
                    "names the {} {}, which is not among the manifests",
                    driven.kind,
                    full_name(driven.namespace.as_deref(), &driven.name)
                );
                findings.warning("driven_route_not_found", object, &driven.path, message);
            }
        }
    }
    Ok(())
}

/// Kinds whose backends stand there before Argo Rollouts sets their weights.
const LISTING: [&str; 6] = [
    "VirtualService",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "TraefikService",
];

/// A route that leads to the stable Service of the Rollout that drives it, and not to its canary's.
fn lacks_canary(
    rollout: &Object,
    driven: &Object,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let canary = rollout.root().along(&["spec", "strategy", "canary"])?;
    let by_subset = canary
        .along(&["trafficRouting", "istio", "destinationRule"])?
        .is_there();
    let (own, stable) = (
        canary.at("canaryService")?,
        canary.at("stableService")?.text()?,
    );
    let (Some(name), Some(stable)) = (own.text()?, stable) else {
        return Ok(());
    };
    let spec = &driven.value["spec"];
    if LISTING.contains(&&*driven.kind) && !by_subset && names(spec, stable) && !names(spec, name) {
        let message = format!(
            "is {name}, to which {} does not lead: Argo Rollouts sets weights of backends that are there, so that the canary \
             gets nothing; add it beside {stable}",
            driven.title()
        );
        findings.error("driven_route_without_canary", rollout, own.path(), message);
    }
    Ok(())
}

/// Whether `name` stands in `value`, alone or with the domain of a cluster.
fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        Value::Array(list) => list.iter().any(|value| names(value, name)),
        Value::Object(map) => map.values().any(|value| names(value, name)),
        _ => false,
    }
}
