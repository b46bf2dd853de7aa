//! What the status of a live object says against it: its controller did not take it, or not as it is written.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;

/// What holds conditions beside the status itself: each parent of a route, each router of `OpenShift`.
const HOLDERS: [&str; 2] = ["parents", "ingress"];

/// Conditions that must not be False: those of Gateway API, of `OpenShift`'s routers, of Contour, of Knative and
/// `KServe`.
const GOOD: [&str; 8] = [
    "Accepted",
    "ResolvedRefs",
    "Programmed",
    "Admitted",
    "Valid",
    "Ready",
    "RoutesReady",
    "IngressReady",
];

/// Conditions that must not be True (Gateway API).
const BAD: [&str; 3] = ["PartiallyInvalid", "Conflicted", "OverlappingTLSConfig"];

/// Fields that say in a word that the object does not count: Contour's, that of F5's controller and of Emissary, of
/// Gloo.
const WORDS: [(&str, &[&str]); 2] = [
    ("currentStatus", &["invalid", "orphaned"]),
    ("state", &["Invalid", "Rejected", "Inactive"]),
];

/// The groups whose statuses are known.
const GROUPS: [&str; 10] = [
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "policy.linkerd.io",
    "route.openshift.io",
    "projectcontour.io",
    "serving.knative.dev",
    "serving.kserve.io",
    "k8s.nginx.org",
    "getambassador.io",
    "gateway.solo.io",
];

/// Findings about the status of `object`.
pub(super) fn lint(object: &Object, findings: &mut Findings) -> Result<(), ManifestError> {
    if !GROUPS.contains(&object.group.as_str()) {
        return Ok(());
    }
    let status = object.root().at("status")?;
    let mut lists = vec![status.at("conditions")?];
    for holder in HOLDERS {
        for one in status.at(holder)?.items()? {
            lists.push(one.at("conditions")?);
        }
    }
    for list in lists {
        for condition in list.items()? {
            against(object, &condition, findings)?;
        }
    }
    for (key, words) in WORDS {
        let field = status.at(key)?;
        if let Some(word) = field.value().and_then(|value| value.as_str())
            && words.contains(&word)
        {
            let why = status
                .at("description")?
                .text()?
                .or(status.at("reason")?.text()?);
            let message = format!("is {word}: {}", shortened(why));
            findings.error("route_not_in_effect", object, field.path(), message);
        }
    }
    Ok(())
}

/// A condition that says that the object, or a part of it, is not in effect.
fn against(
    object: &Object,
    condition: &Field<'_>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let name = condition.at("type")?.text()?.unwrap_or_default();
    let status = condition.at("status")?.text()?.unwrap_or_default();
    let is_against =
        status == "False" && GOOD.contains(&name) || status == "True" && BAD.contains(&name);
    if is_against {
        let reason = condition.at("reason")?.text()?.unwrap_or("no reason");
        let why = shortened(condition.at("message")?.text()?);
        let message = format!("says {name}: {status} ({reason}): {why}");
        findings.error("route_not_in_effect", object, condition.path(), message);
    }
    Ok(())
}

fn shortened(text: Option<&str>) -> String {
    text.unwrap_or("it does not say why")
        .chars()
        .take(200)
        .collect()
}
