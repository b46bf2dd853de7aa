//! What single objects say that makes a split come out otherwise, or hard to measure.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::kind::gateway::GROUP;
use crate::manifest::object::Object;

/// Findings about `object` alone.
pub(super) fn lint(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    match (object.group.as_str(), object.kind.as_str()) {
        ("route.openshift.io", "Route") => balance(object, findings),
        (GROUP | "policy.linkerd.io", kind) if kind.ends_with("Route") => {
            parents(object, findings)?;
            conditions(object, findings)?;
            retries(object, "spec", "rules", "retry", findings)
        }
        ("networking.istio.io", "VirtualService") => {
            retries(object, "spec", "http", "retries", findings)
        }
        ("networking.istio.io", "DestinationRule") => locality(object, findings),
        ("", "Service") => distribution(object, findings),
        _ => Ok(()),
    }
}

/// `HAProxy` takes weights into account with `roundrobin` alone, which a Route with several backends has by
/// default.
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
    if let Some(balance) = field.text()?.filter(|balance| *balance != "roundrobin") {
        let message = format!(
            "is {balance}: clients keep their backends, so that one client does not see the weights; write roundrobin"
        );
        findings.warning("balance_not_roundrobin", object, field.path(), message);
    }
    Ok(())
}

/// A route for a Service splits what clients inside the mesh send.
fn parents(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    for parent in object.root().along(&["spec", "parentRefs"])?.items()? {
        let kind = parent.at("kind")?;
        if kind.text()? == Some("Service") {
            let message = "is a Service: the mesh splits what its own clients send, so that lbtest must run in a pod of it"
                .to_owned();
            findings.warning("in_mesh_route", object, kind.path(), message);
            break;
        }
    }
    Ok(())
}

/// What the controller says of a live route.
fn conditions(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    for parent in object.root().along(&["status", "parents"])?.items()? {
        for condition in parent.at("conditions")?.items()? {
            let name = condition.at("type")?.text()?.unwrap_or_default();
            let is_good = condition.at("status")?.text()? != Some("False");
            if is_good || !matches!(name, "Accepted" | "ResolvedRefs" | "Programmed") {
                continue;
            }
            let reason = condition.at("reason")?.text()?.unwrap_or("no reason");
            let why = condition.at("message")?.text()?.unwrap_or_default();
            let why: String = why.chars().take(200).collect();
            let message = format!("says {name}: False ({reason}): {why}");
            findings.error("route_not_in_effect", object, condition.path(), message);
        }
    }
    Ok(())
}

/// A retry may go to another backend than the one that failed.
fn retries(
    object: &Object,
    outer: &str,
    rules: &str,
    key: &str,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    for rule in object.root().along(&[outer, rules])?.items()? {
        let field = rule.at(key)?;
        let attempts = field.at("attempts")?.whole()?;
        let is_split =
            rule.at("route")?.items()?.len() + rule.at("backendRefs")?.items()?.len() > 1;
        if is_split && field.is_there() && attempts != Some(0) {
            let message = "may send a failed request to another backend, so that a failing one gets fewer and the others more \
                           than their shares"
                .to_owned();
            findings.warning("retries_move_requests", object, field.path(), message);
        }
    }
    Ok(())
}

/// Locality decides before weights do.
fn locality(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let policy = object.root().along(&["spec", "trafficPolicy"])?;
    let field = policy.along(&["loadBalancer", "localityLbSetting", "distribute"])?;
    if !field.items()?.is_empty() {
        let message = "spreads requests over localities: the pods of one backend do not share its requests equally"
            .to_owned();
        findings.warning("unequal_pods", object, field.path(), message);
    }
    Ok(())
}

/// Requests stay near the node that they come in on.
fn distribution(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    let field = object.root().along(&["spec", "trafficDistribution"])?;
    if let Some(preference) = field.text()? {
        let message = format!(
            "is {preference}: requests go to pods near where they come in, so that the pods do not share them equally"
        );
        findings.warning("unequal_pods", object, field.path(), message);
    }
    Ok(())
}
