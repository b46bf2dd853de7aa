//! Actions of AWS load balancers: paths and annotations that do not find each other.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::kind::rule::{actions, is_ingress};
use crate::manifest::object::Object;
use crate::manifest::route::Route;

/// Where an Ingress says what its actions do (AWS Load Balancer Controller's guide, "Ingress annotations").
const ACTIONS: &str = "alb.ingress.kubernetes.io/actions.";

/// Findings about the actions of `object`, of which `routes` are read.
pub(super) fn lint(
    object: &Object,
    routes: &[Route<'_>],
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    if !is_ingress(object) {
        return Ok(());
    }
    let annotations = object.root().along(&["metadata", "annotations"])?;
    let used = actions(object)?;
    let is_driven = routes.iter().any(|route| {
        let of_rollout = route.related.iter().any(|other| other.kind == "Rollout");
        std::ptr::eq(route.object, object) && of_rollout
            || route.object.kind == "Rollout"
                && route
                    .related
                    .iter()
                    .any(|other| std::ptr::eq(*other, object))
    });
    for action in &used {
        if !is_driven
            && !annotations
                .at(&format!("{ACTIONS}{}", action.name))?
                .is_there()
        {
            let message = format!(
                "has the port use-annotation, and no annotation {ACTIONS}{} says what that is: such requests get 503",
                action.name
            );
            findings.error("action_not_found", object, action.field.path(), message);
        }
    }
    for key in annotations.keys()? {
        let field = annotations.at(key)?;
        let splits = field
            .text()?
            .is_some_and(|text| text.to_ascii_lowercase().contains("targetgroups"));
        let name = key.strip_prefix(ACTIONS).filter(|_| splits);
        if let Some(name) = name.filter(|name| used.iter().all(|action| action.name != *name)) {
            let message = format!(
                "is used by no path: one that means it names the service {name} and the port use-annotation"
            );
            findings.error("action_not_found", object, field.path(), message);
        }
    }
    Ok(())
}
