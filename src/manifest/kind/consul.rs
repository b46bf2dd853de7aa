//! Consul: `ServiceSplitter`, `spec.splits[].weight`, in percent, over services and their subsets.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Place, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["ServiceSplitter"],
    groups: &["consul.hashicorp.com"],
    weights: "spec.splits[].weight",
    meaning: "percent, of services or their subsets",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let mut backends = Vec::new();
    for split in object.root().along(&["spec", "splits"])?.items()? {
        let weight = split.at("weight")?;
        let value = weight.decimal()?.unwrap_or(0.0);
        let name = split.at("service")?.text()?.unwrap_or(&object.name);
        let mut backend = Backend::service(object, name, value, &weight);
        if let Some(subset) = split.at("serviceSubset")?.text()? {
            backend.variant = Some(subset.to_owned());
            backend.pods = PodsOf::Unknown;
        }
        backends.push(backend);
    }
    if backends.is_empty() {
        return Err(object.root().along(&["spec", "splits"])?.error("is empty"));
    }
    let mut route = Route::new(object, 1, backends);
    route.place = Place::Behind(object.name.clone());
    Ok(vec![route])
}
