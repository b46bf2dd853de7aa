//! Service Mesh Interface: `TrafficSplit`, `spec.backends[].weight`; relative.
//!
//! `v1alpha1` holds weights as quantities (`500m`, `1`), later versions as whole numbers.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::field::Field;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Place, Route};

pub(super) const KIND: Kind = Kind {
    names: &["TrafficSplit"],
    groups: &["split.smi-spec.io"],
    weights: "spec.backends[].weight",
    meaning: "relative",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let spec = object.root().at("spec")?;
    let root = spec.at("service")?.required()?;
    let entries = spec.at("backends")?.items()?;
    if entries.is_empty() {
        return Err(spec
            .at("backends")?
            .error("is empty: there is nothing to split over"));
    }
    let mut backends = Vec::new();
    for entry in &entries {
        let weight = entry.at("weight")?;
        let name = entry.at("service")?.required()?;
        backends.push(Backend::service(
            object,
            name,
            value(object, &weight)?,
            &weight,
        ));
    }
    let mut route = Route::new(object, 1, backends);
    // A fully qualified name is allowed.
    let name = root.split('.').next().unwrap_or(root);
    route.place = Place::Behind(name.to_owned());
    for group in spec.at("matches")?.items()? {
        let name = group.at("name")?.text()?.unwrap_or("(no name)");
        route
            .conditions
            .push(format!("HTTPRouteGroup {name}").into());
    }
    Ok(vec![route])
}

fn value(object: &Object, weight: &Field<'_>) -> Result<f64, ManifestError> {
    if !weight.is_there() {
        return Err(weight.error("is missing"));
    }
    if object.version == "v1alpha1"
        && let Some(serde_json::Value::String(text)) = weight.value()
    {
        let quantity = quantity(text);
        return quantity.ok_or_else(|| {
            weight.error("is not a quantity of at least 0: write it as 1 or as 500m")
        });
    }
    Ok(weight.whole()?.unwrap_or_default() as f64)
}

/// A Kubernetes quantity with the suffixes that a weight can have.
fn quantity(text: &str) -> Option<f64> {
    let (digits, scale) = match text.strip_suffix('m') {
        Some(digits) => (digits, 0.001),
        None => match text.strip_suffix('k') {
            Some(digits) => (digits, 1000.0),
            None => (text, 1.0),
        },
    };
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = digits.parse().ok().filter(|_| plain)?;
    number.is_finite().then_some(number * scale)
}
