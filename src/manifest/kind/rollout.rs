//! Argo Rollouts: `Rollout`, `status.canary.weights`, else the last `setWeight` up to the current step.
//!
//! `utils/replicaset/canary.go` of argo-rollouts: an aborted rollout has weight 0, one past its last step
//! 100, and one before any `setWeight` 0; a missing `currentStepIndex` is 0. Once the current template is
//! the stable one, there is no canary. Template hashes tell the pods of the two apart.

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Place, PodsOf, Route};

/// The split of `object`, if it is a `Rollout` with the canary strategy.
pub(super) fn routes(object: &Object) -> Result<Vec<Route<'_>>, ManifestError> {
    if !object.is("Rollout", &["argoproj.io"]) {
        return Ok(Vec::new());
    }
    let root = object.root();
    let strategy = root.along(&["spec", "strategy"])?;
    let canary = strategy.at("canary")?;
    if !canary.is_there() {
        if strategy.at("blueGreen")?.is_there() {
            // All requests go to the active service: there is no split.
            return Ok(Vec::new());
        }
        return Err(canary.error("is missing: only the canary strategy splits traffic"));
    }
    let status = root.at("status")?;
    let weights = status.along(&["canary", "weights"])?;
    let mut backends = Vec::new();
    let names = ["stable", "canary"];
    let hashes = ["stableRS", "currentPodHash"];
    let hashes: Vec<_> = hashes
        .iter()
        .map(|key| status.at(key)?.text())
        .collect::<Result<_, _>>()?;
    let is_promoted = hashes[0].is_some() && hashes[0] == hashes[1];
    let (total, planned) = planned(&canary, &status)?;
    for (role, hash) in names.into_iter().zip(hashes) {
        let entry = weights.at(role)?;
        let (field, value) = if weights.is_there() {
            let field = entry.at("weight")?;
            let value = field.whole()?.ok_or_else(|| field.error("is missing"))?;
            (field, value)
        } else {
            let is_stable = role == "stable";
            let canary_weight = if is_promoted { 0 } else { planned.1 };
            let value = if is_stable {
                total.saturating_sub(canary_weight)
            } else {
                canary_weight
            };
            (planned.0.clone(), value)
        };
        let service = match entry.at("serviceName")?.text()? {
            Some(service) if !service.is_empty() => Some(service),
            _ => canary.at(&format!("{role}Service"))?.text()?,
        };
        let hash = entry.at("podTemplateHash")?.text()?.or(hash);
        let mut backend = Backend::service(object, service.unwrap_or(role), value as f64, &field);
        backend.role = Some(role);
        backend.pods = match (hash, service) {
            (Some(hash), _) if !hash.is_empty() => PodsOf::Template {
                workload: object.name.clone(),
                hash: hash.to_owned(),
            },
            (_, Some(_)) => PodsOf::Service,
            _ => PodsOf::Unknown,
        };
        backends.push(backend);
    }
    if is_promoted {
        // Both services select the same pods.
        backends.truncate(1);
    }
    for entry in weights.at("additional")?.items()? {
        let weight = entry.at("weight")?;
        let name = entry.at("serviceName")?.required()?;
        let value = weight.whole()?.unwrap_or_default();
        backends.push(Backend::service(object, name, value as f64, &weight));
    }
    let mut route = Route::new(object, 1, backends);
    let apex = canary.at("stableService")?.text()?.unwrap_or(&object.name);
    route.place = Place::Controller {
        apex: apex.to_owned(),
    };
    Ok(vec![route])
}

/// The weights' total, and the field and value of the canary's weight as the steps plan it.
fn planned<'a>(
    canary: &Field<'a>,
    status: &Field<'a>,
) -> Result<(u64, (Field<'a>, u64)), ManifestError> {
    let total = canary
        .along(&["trafficRouting", "maxTrafficWeight"])?
        .whole()?;
    let total = total.unwrap_or(100);
    let steps = canary.at("steps")?;
    if status.at("abort")?.flag()? {
        return Ok((total, (status.at("abort")?, 0)));
    }
    let items = steps.items()?;
    let index = status.at("currentStepIndex")?;
    let current = index.whole()?.unwrap_or(0);
    let current = usize::try_from(current).unwrap_or(usize::MAX);
    if current >= items.len() {
        let field = if index.is_there() { index } else { steps };
        return Ok((total, (field, total)));
    }
    for step in items[..=current].iter().rev() {
        let weight = step.at("setWeight")?;
        if let Some(value) = weight.whole()? {
            if value > total {
                return Err(weight.error(&format!("is {value}: the weights' total is {total}")));
            }
            return Ok((total, (weight, value)));
        }
    }
    Ok((total, (steps, 0)))
}
