//! `OpenShift`: `Route`, `spec.to.weight` and `spec.alternateBackends[].weight`.
//!
//! A weight that is left out is 100 (openshift/api, `route/v1/types.go`: `+kubebuilder:default=100`). Clients that hold
//! the router's cookie of a backend of weight 0 still go there, but for passthrough routes (`haproxy-config.template`
//! of openshift/router).

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PathRule, PodsOf, Remark, Route};

/// The largest weight (the API's reference, `RouteTargetReference`).
const MAX_WEIGHT: u64 = 256;

pub(super) const KIND: Kind = Kind {
    names: &["Route"],
    // The legacy group has no name.
    groups: &["route.openshift.io", ""],
    weights: "spec.to.weight, spec.alternateBackends[].weight",
    meaning: "relative, at most 256; left out: 100",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let mut targets = vec![spec.at("to")?];
    targets.extend(spec.at("alternateBackends")?.items()?);
    let backends = targets
        .iter()
        .map(|target| backend(object, target))
        .collect::<Result<_, _>>()?;
    let mut route = Route::new(object, 1, backends);
    if spec.along(&["tls", "termination"])?.text()? != Some("passthrough")
        && route.backends.len() > 1
        && let Some(empty) = route.backends.iter().find(|one| one.weight <= 0.0)
    {
        let field = empty.field.clone();
        let message = "is 0, which lets clients go there that hold the router's cookie of this backend; others do not";
        route.remarks.push(Remark::zero(field, message));
    }
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

fn backend<'a>(object: &'a Object, target: &Field<'a>) -> Result<Backend<'a>, ManifestError> {
    let name = target.at("name")?.required()?;
    let weight = target.at("weight")?;
    let value = match weight.whole()? {
        Some(value) if value <= MAX_WEIGHT => value,
        Some(value) => {
            let problem = format!("is {value}: a weight is at most {MAX_WEIGHT}");
            return Err(weight.error(&problem));
        }
        None => 100,
    };
    let mut backend = Backend::service(object, name, value as f64, &weight);
    if target.at("kind")?.text()?.unwrap_or("Service") != "Service" {
        backend.pods = PodsOf::Unknown;
    }
    Ok(backend)
}
