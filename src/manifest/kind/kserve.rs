//! `KServe`: `InferenceService`, `spec.predictor.canaryTrafficPercent` of the latest revision; the one before
//! gets the rest.

use super::knative::{at_its_url, pods_of};
use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, Route};

pub(super) const KIND: Kind = Kind {
    names: &["InferenceService"],
    groups: &["serving.kserve.io"],
    weights: "spec.predictor.canaryTrafficPercent",
    meaning: "percent of the latest revision; the revision before gets the rest",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let root = object.root();
    let percent = root.along(&["spec", "predictor", "canaryTrafficPercent"])?;
    let Some(value) = percent.percent()? else {
        return Ok(Vec::new());
    };
    let predictor = root.along(&["status", "components", "predictor"])?;
    let backend = |role: &'static str, key: &str, weight: u64| {
        let revision = predictor.at(key)?.text()?;
        let mut backend =
            Backend::service(object, revision.unwrap_or(role), weight as f64, &percent);
        backend.role = Some(role);
        backend.pods = pods_of(revision);
        Ok::<_, ManifestError>(backend)
    };
    let backends = vec![
        backend("stable", "previousRolledoutRevision", 100 - value)?,
        backend("canary", "latestReadyRevision", value)?,
    ];
    Ok(vec![at_its_url(object, backends)?])
}
