//! `OpenShift`: `Route`, `spec.to.weight` and `spec.alternateBackends[].weight`.
//!
//! Weights count where they are written only: the documentation of the releases gives their default as 1
//! and as 100. The API server writes it into live objects.

use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Route};

/// The largest weight (the API's reference, `RouteTargetReference`).
const MAX_WEIGHT: u64 = 256;

/// The rule of `object`, if it is a `Route`.
pub(super) fn routes(object: &Object) -> Result<Vec<Route<'_>>, ManifestError> {
    // The legacy group has no name.
    if !object.is("Route", &["route.openshift.io", ""]) {
        return Ok(Vec::new());
    }
    let spec = object.root().at("spec")?;
    let mut targets = vec![spec.at("to")?];
    targets.extend(spec.at("alternateBackends")?.items()?);
    let is_single = targets.len() == 1;
    let backends = targets
        .iter()
        .map(|target| backend(object, target, is_single))
        .collect::<Result<_, _>>()?;
    let mut route = Route::new(object, 1, backends);
    if let Some(host) = spec.at("host")?.text()? {
        route.hosts = vec![host.to_owned()];
    }
    if let Some(path) = spec.at("path")?.text()?
        && !path.is_empty()
    {
        route.path = PathRule::Prefix(path.to_owned());
    }
    Ok(vec![route])
}

fn backend<'a>(
    object: &'a Object,
    target: &Field<'a>,
    is_single: bool,
) -> Result<Backend<'a>, ManifestError> {
    let name = target.at("name")?.required()?;
    let weight = target.at("weight")?;
    let value = match weight.whole()? {
        Some(value) if value <= MAX_WEIGHT => value,
        Some(value) => {
            let problem = format!("is {value}: a weight is at most {MAX_WEIGHT}");
            return Err(weight.error(&problem));
        }
        None if is_single => 100,
        None => {
            return Err(weight.error(
                "is missing: write the weight of every backend, since the default differs between releases",
            ));
        }
    };
    let mut backend = Backend::service(object, name, value as f64, &weight);
    if target.at("kind")?.text()?.unwrap_or("Service") != "Service" {
        backend.pods = PodsOf::Unknown;
    }
    Ok(backend)
}
