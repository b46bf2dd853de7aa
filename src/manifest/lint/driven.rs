//! Routes of a `VirtualService` that a Rollout names.

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;

/// Findings about the routes that `object` names, where its `VirtualService`s are among `objects`.
pub(super) fn lint(
    object: &Object,
    objects: &[Object],
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    if !object.is("Rollout", &["argoproj.io"]) {
        return Ok(());
    }
    let canary = object.root().along(&["spec", "strategy", "canary"])?;
    let istio = canary.along(&["trafficRouting", "istio"])?;
    let mut services = istio.at("virtualServices")?.items()?;
    services.push(istio.at("virtualService")?);
    for service in &services {
        let Some(name) = service.at("name")?.text()? else {
            continue;
        };
        let (name, namespace) = match name.split_once('.') {
            Some((name, namespace)) => (name, Some(namespace)),
            None => (name, object.namespace.as_deref()),
        };
        let is_meant = |known: &&Object| {
            known.is("VirtualService", &["networking.istio.io"]) && known.is_called(name, namespace)
        };
        if let Some(driven) = objects.iter().find(is_meant) {
            routes(object, service, driven, findings)?;
        }
    }
    Ok(())
}

/// Argo Rollouts takes no step where a route is not there, or where it can't tell which of several is meant
/// (`utils/istio` and `rollout/trafficrouting/istio` of argo-rollouts).
fn routes(
    object: &Object,
    service: &Field<'_>,
    driven: &Object,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let mut names = Vec::new();
    let rules = driven.root().along(&["spec", "http"])?.items()?;
    if rules.is_empty() {
        // It drives the rules of another protocol then, and asks for none of these.
        return Ok(());
    }
    for rule in &rules {
        names.extend(rule.at("name")?.text()?);
    }
    let title = driven.title();
    let field = service.at("routes")?;
    let wanted = field.items()?;
    for route in &wanted {
        let name = route.required()?;
        if !names.contains(&name) {
            let has = match names.len() {
                0 => "its http rules have no names".to_owned(),
                _ => names.join(", "),
            };
            let message = format!(
                "is {name}, and {title} has no http rule of that name ({has}): Argo Rollouts sets no weight then"
            );
            findings.error("driven_route_not_found", object, route.path(), message);
        }
    }
    let others = [service.at("tcpRoutes")?, service.at("tlsRoutes")?];
    if wanted.is_empty() && rules.len() > 1 && !others.iter().any(Field::is_there) {
        let message = format!(
            "is missing, and {title} has {} http rules: Argo Rollouts sets no weight unless this names those that it is to \
             drive",
            rules.len()
        );
        findings.error("driven_route_not_found", object, field.path(), message);
    }
    Ok(())
}
