//! What single objects say that makes a split come out otherwise, or hard to measure.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::kind::listener::GROUP;
use crate::manifest::object::Object;

/// Findings about `object` alone.
pub(super) fn lint(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    retries(object, findings)?;
    match (object.group.as_str(), object.kind.as_str()) {
        ("route.openshift.io", "Route") => balance(object, findings),
        (GROUP | "policy.linkerd.io", kind) if kind.ends_with("Route") => parents(object, findings),
        ("networking.istio.io", "DestinationRule") => localities(object, findings),
        ("", "Service") => distribution(object, findings),
        _ => Ok(()),
    }
}

/// The router takes `roundrobin` where several Services have weights, unless the annotation says otherwise
/// (`haproxy-config.template` of openshift/router); `random` keeps to the weights too.
fn balance(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let root = object.root();
    if root
        .along(&["spec", "alternateBackends"])?
        .items()?
        .is_empty()
    {
        return Ok(());
    }
    let field = root.along(&[
        "metadata",
        "annotations",
        "haproxy.router.openshift.io/balance",
    ])?;
    let does = match field.text()? {
        Some("source") => {
            "clients keep their backends, so that one client does not see the weights"
        }
        Some("leastconn") => {
            "requests go where the fewest are open, so that shares follow the speed of the backends"
        }
        _ => return Ok(()),
    };
    let balance = field.text()?.unwrap_or_default();
    let message = format!("is {balance}: {does}; write roundrobin");
    findings.warning("balance_not_roundrobin", object, field.path(), message);
    Ok(())
}

/// A route for Services alone splits what clients inside the mesh send.
fn parents(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let parents = object.root().along(&["spec", "parentRefs"])?.items()?;
    let is_inside = |parent: &Field<'_>| {
        let kind = parent.at("kind")?.text()?;
        Ok::<_, ManifestError>(matches!(kind, Some("Service" | "ServiceEntry")))
    };
    let mut inside = 0;
    for parent in &parents {
        inside += usize::from(is_inside(parent)?);
    }
    if let Some(parent) = parents.first().filter(|_| inside == parents.len()) {
        let kind = parent.at("kind")?;
        let message = format!(
            "is a {}: the mesh splits what its own clients send, so that lbtest must run in a pod of it",
            kind.text()?.unwrap_or("Service")
        );
        findings.warning("in_mesh_route", object, kind.path(), message);
    }
    Ok(())
}

/// Where rules stand and where their retries do, by group and kind; the lists of backends that make a rule a split.
const RETRIES: [(&str, &str, &[&str], &[&str]); 7] = [
    (GROUP, "HTTPRoute", &["spec", "rules"], &["retry"]),
    (GROUP, "GRPCRoute", &["spec", "rules"], &["retry"]),
    (
        "policy.linkerd.io",
        "HTTPRoute",
        &["spec", "rules"],
        &["retry"],
    ),
    (
        "networking.istio.io",
        "VirtualService",
        &["spec", "http"],
        &["retries"],
    ),
    (
        "projectcontour.io",
        "HTTPProxy",
        &["spec", "routes"],
        &["retryPolicy"],
    ),
    (
        "gateway.solo.io",
        "VirtualService",
        &["spec", "virtualHost", "routes"],
        &["options", "retries"],
    ),
    (
        "gateway.solo.io",
        "RouteTable",
        &["spec", "routes"],
        &["options", "retries"],
    ),
];
const BACKENDS: [&[&str]; 4] = [
    &["route"],
    &["backendRefs"],
    &["services"],
    &["routeAction", "multi", "destinations"],
];
/// What says how often, under one name or another.
const ATTEMPTS: [&str; 3] = ["attempts", "count", "numRetries"];

/// A retry may go to another backend than the one that failed.
fn retries(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let of_kind = RETRIES
        .iter()
        .find(|(group, kind, ..)| object.is(kind, &[group]));
    let Some((.., rules, retries)) = of_kind else {
        return Ok(());
    };
    for rule in object.root().along(rules)?.items()? {
        let field = rule.along(retries)?;
        let mut is_off = false;
        for key in ATTEMPTS {
            is_off |= field.at(key)?.value() == Some(&0.into());
        }
        let mut backends = 0;
        for list in BACKENDS {
            backends += rule.along(list)?.items()?.len();
        }
        if backends > 1 && field.is_there() && !is_off {
            let message = "may send a failed request to another backend, so that a failing one gets fewer and the others more \
                           than their shares"
                .to_owned();
            findings.warning("retries_move_requests", object, field.path(), message);
        }
    }
    Ok(())
}

/// Localities decide before weights do, for a host, for one of its ports or for a subset.
fn localities(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let spec = object.root().at("spec")?;
    let mut policies = vec![spec.at("trafficPolicy")?];
    for subset in spec.at("subsets")?.items()? {
        policies.push(subset.at("trafficPolicy")?);
    }
    for index in 0..policies.len() {
        policies.extend(policies[index].at("portLevelSettings")?.items()?);
    }
    for policy in policies {
        let setting = policy.along(&["loadBalancer", "localityLbSetting"])?;
        let is_off = setting.at("enabled")?.value() == Some(&false.into());
        let field = setting.at("distribute")?;
        if !is_off && !field.items()?.is_empty() {
            let message = "spreads requests over localities: the pods of one backend do not share its requests equally"
                .to_owned();
            findings.warning("unequal_pods", object, field.path(), message);
        }
    }
    Ok(())
}

/// Requests stay near the node that they come in on.
fn distribution(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let spec = object.root().at("spec")?;
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let named = |key: &str| annotations.at(key);
    let settings = [
        spec.at("trafficDistribution")?,
        named("networking.istio.io/traffic-distribution")?,
        named("service.kubernetes.io/topology-mode")?,
        named("service.kubernetes.io/topology-aware-hints")?,
        spec.at("internalTrafficPolicy")?,
    ];
    for field in settings {
        let Some(preference) = field.text()? else {
            continue;
        };
        if !matches!(
            preference,
            "Any" | "any" | "Cluster" | "Disabled" | "disabled"
        ) {
            let message = format!(
                "is {preference}: requests go to pods near where they come in, so that the pods do not share them equally"
            );
            findings.warning("unequal_pods", object, field.path(), message);
        }
    }
    Ok(())
}
