//! Flagger: `Canary`, `status.canaryWeight`; the primary gets the rest of 100.
//!
//! Flagger makes the Services `NAME-primary` and `NAME-canary` and the Deployment `TARGET-primary`; the
//! target itself runs the canary.

use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Place, PodsOf, Route, hosts};

/// The split of `object`, if it is a `Canary`.
pub(super) fn routes(object: &Object) -> Result<Vec<Route<'_>>, ManifestError> {
    if !object.is("Canary", &["flagger.app"]) {
        return Ok(Vec::new());
    }
    let root = object.root();
    let spec = root.at("spec")?;
    let target = spec.along(&["targetRef", "name"])?.required()?;
    let service = spec.along(&["service", "name"])?.text()?.unwrap_or(target);
    let weight = root.along(&["status", "canaryWeight"])?;
    let canary = match weight.whole()? {
        Some(canary) if canary <= 100 => canary,
        Some(canary) => {
            return Err(weight.error(&format!("is {canary}: it is a percentage, at most 100")));
        }
        None => {
            return Err(weight.error(
                "is missing: give the live object, which has it: kubectl get canary NAME -o json",
            ));
        }
    };
    let backend = |role: &'static str, weight_of: u64, workload: String| {
        let name = format!("{service}-{role}");
        let mut backend = Backend::service(object, &name, weight_of as f64, &weight);
        backend.role = Some(role);
        backend.pods = PodsOf::Workload(workload);
        backend
    };
    let backends = vec![
        backend("primary", 100 - canary, format!("{target}-primary")),
        backend("canary", canary, target.to_owned()),
    ];
    let mut route = Route::new(object, 1, backends);
    route.hosts = hosts(&spec.along(&["service", "hosts"])?)?;
    if !spec.along(&["analysis", "match"])?.items()?.is_empty() {
        route
            .conditions
            .push("what spec.analysis.match asks for".to_owned());
    }
    route.place = Place::Controller {
        apex: service.to_owned(),
    };
    Ok(vec![route])
}
