//! `KServe`: `InferenceService`, `spec.predictor.canaryTrafficPercent` of the latest revision; the one before
//! gets the rest.

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Route};

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
    let Some(value) = percent.whole()? else {
        return Ok(Vec::new());
    };
    if value > 100 {
        return Err(percent.error(&format!("is {value}: it is a percentage, at most 100")));
    }
    let status = root.at("status")?;
    let predictor = status.along(&["components", "predictor"])?;
    let backend = |role: &'static str, key: &str, weight: u64| {
        let revision = predictor.at(key)?.text()?;
        let mut backend =
            Backend::service(object, revision.unwrap_or(role), weight as f64, &percent);
        backend.role = Some(role);
        backend.pods = match revision {
            Some(revision) => PodsOf::Workload(format!("{revision}-deployment")),
            None => PodsOf::Unknown,
        };
        Ok::<_, ManifestError>(backend)
    };
    let backends = vec![
        backend("stable", "previousRolledoutRevision", 100 - value)?,
        backend("canary", "latestReadyRevision", value)?,
    ];
    let mut route = Route::new(object, 1, backends);
    let url = status
        .at("url")?
        .text()?
        .and_then(|url| url.split_once("://"));
    route
        .hosts
        .extend(url.map(|(_, host)| host.trim_end_matches('/').to_owned()));
    Ok(vec![route])
}
