//! Consul: `ServiceSplitter`, `spec.splits[].weight`, in percent, over services and their subsets.
//!
//! Consul takes a splitter whose weights sum to 100 alone (`ServiceSplitterConfigEntry.Validate`).

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

/// Consul counts in hundredths of a percent.
const LEAST: f64 = 0.005;

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let splits = object.root().along(&["spec", "splits"])?;
    let mut backends = Vec::new();
    for split in splits.items()? {
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
        return Err(splits.error("is empty"));
    }
    let total: f64 = backends.iter().map(|backend| backend.weight).sum();
    if (total - 100.0).abs() > LEAST {
        let problem = format!("sum to {total}: Consul takes weights that sum to 100 alone");
        return Err(splits.error(&problem));
    }
    let mut route = Route::new(object, 1, backends);
    route.place = Place::Behind(object.name.clone());
    Ok(vec![route])
}
