//! Knative: `Service` and `Route`, `spec.traffic[].percent`, over revisions.
//!
//! Without `traffic` the latest revision gets all. What the status says of the same entry names the latest
//! revision. A revision's Deployment is `REVISION-deployment`. Percents sum to 100 (`TrafficTarget` of
//! knative/serving, `Validate`).

use super::{Context, Kind, Read};
use crate::manifest::ManifestError;
use crate::manifest::object::Object;
use crate::manifest::route::{Backend, PodsOf, Route};

pub(super) const KIND: Kind = Kind {
    names: &["Service", "Route"],
    groups: &["serving.knative.dev"],
    weights: "spec.traffic[].percent",
    meaning: "percent of the revisions; a tag alone gets nothing",
    read: Read::Each(routes),
};

fn routes<'a>(object: &'a Object, _: &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError> {
    let root = object.root();
    let status = root.at("status")?;
    let latest = status.at("latestReadyRevisionName")?.text()?;
    let mut backends = Vec::new();
    for entry in root.along(&["spec", "traffic"])?.items()? {
        let percent = entry.at("percent")?;
        let Some(value) = percent.percent()? else {
            // A tag has an address of its own, and no share.
            continue;
        };
        let revision = entry
            .at("revisionName")?
            .text()?
            .filter(|name| !name.is_empty())
            .or(latest);
        let name = revision.unwrap_or("latest");
        let mut backend = Backend::service(object, name, value as f64, &percent);
        backend.pods = pods_of(revision);
        backends.push(backend);
    }
    if backends.is_empty() {
        return Ok(Vec::new());
    }
    let total: f64 = backends.iter().map(|backend| backend.weight).sum();
    if (total - 100.0).abs() > 0.5 {
        let problem = format!("sums to {total} percent: Knative takes 100 alone");
        return Err(root.along(&["spec", "traffic"])?.error(&problem));
    }
    Ok(vec![at_its_url(object, backends)?])
}

/// The pods of a revision, where one is named.
pub(super) fn pods_of(revision: Option<&str>) -> PodsOf {
    match revision {
        Some(revision) => PodsOf::Workload(format!("{revision}-deployment")),
        None => PodsOf::Unknown,
    }
}

/// The only rule of `object`, with the host of its status.
pub(super) fn at_its_url<'a>(
    object: &'a Object,
    backends: Vec<Backend<'a>>,
) -> Result<Route<'a>, ManifestError> {
    let mut route = Route::new(object, 1, backends);
    let url = object.root().along(&["status", "url"])?.text()?;
    let host = url.and_then(|url| Some(url.split_once("://")?.1));
    let host = host.map(|host| host.trim_end_matches('/').to_owned());
    route.hosts.extend(host);
    Ok(route)
}
