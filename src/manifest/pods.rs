//! Which pods are ready to answer, for claims about each of them.

use super::ManifestError;
use super::object::Object;
use super::route::{Backend, Route};
use super::workload::{Workload, Workloads};

/// The pods that are to share requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pods {
    /// How many.
    pub number: usize,
    /// Their names, where the manifests say them.
    pub names: Vec<String>,
    /// Where that stands, for a person.
    pub source: &'static str,
}

/// The pods behind `route`, or all of them: the ready ones, else the ready endpoints, else the replicas.
///
/// # Errors
/// A field that can't be used.
pub(super) fn ready(
    objects: &[Object],
    workloads: &Workloads<'_>,
    route: Option<&Route<'_>>,
) -> Result<Option<Pods>, ManifestError> {
    let Some(route) = route else {
        let found: Vec<&Workload<'_>> = workloads.all().iter().collect();
        return counted(&found, || endpoints(objects, |_| true));
    };
    let positive = route.backends.iter().filter(|backend| backend.weight > 0.0);
    let found: Result<Vec<Vec<_>>, _> = positive.map(|backend| workloads.of(backend)).collect();
    let is_of = |service: &str| route.backends.iter().any(|backend| backend.name == service);
    counted(&found?.concat(), || endpoints(objects, is_of))
}

/// The same behind one backend.
///
/// # Errors
/// A field that can't be used.
pub(super) fn of_backend(
    objects: &[Object],
    workloads: &Workloads<'_>,
    backend: &Backend<'_>,
) -> Result<Option<Pods>, ManifestError> {
    // The slices of a Service don't tell its subsets apart.
    let is_of = |service: &str| backend.variant.is_none() && backend.name == service;
    counted(&workloads.of(backend)?, || endpoints(objects, is_of))
}

fn counted(
    found: &[&Workload<'_>],
    endpoints: impl FnOnce() -> Result<Vec<String>, ManifestError>,
) -> Result<Option<Pods>, ManifestError> {
    let mut names = Vec::new();
    let pods = found.iter().filter(|found| found.is_pod());
    let mut has_pods = false;
    for pod in pods {
        has_pods = true;
        if is_ready(pod.object())? {
            names.push(pod.object().name.clone());
        }
    }
    let mut source = "the ready Pods";
    if !has_pods {
        names = endpoints()?;
        source = "the ready endpoints";
    }
    names.sort_unstable();
    names.dedup();
    if has_pods || !names.is_empty() {
        let number = names.len();
        return Ok(Some(Pods {
            number,
            names,
            source,
        }));
    }
    // A ReplicaSet counts what its Deployment has said.
    let owners = found
        .iter()
        .filter(|found| found.object().kind != "ReplicaSet");
    let replicas: Option<u64> = owners.map(|found| found.pods()).sum();
    let number = replicas.and_then(|number| usize::try_from(number).ok());
    Ok(number.filter(|&number| number > 0).map(|number| Pods {
        number,
        names: Vec::new(),
        source: "the replicas",
    }))
}

/// Whether a pod may answer: it says that it is ready, or nothing of it, and does not end.
fn is_ready(pod: &Object) -> Result<bool, ManifestError> {
    if pod
        .root()
        .along(&["metadata", "deletionTimestamp"])?
        .is_there()
    {
        return Ok(false);
    }
    for condition in pod.root().along(&["status", "conditions"])?.items()? {
        if condition.at("type")?.text()? == Some("Ready") {
            return Ok(condition.at("status")?.text()? == Some("True"));
        }
    }
    Ok(true)
}

/// The pods of the ready endpoints of the `EndpointSlices` of these services.
fn endpoints(
    objects: &[Object],
    is_of: impl Fn(&str) -> bool,
) -> Result<Vec<String>, ManifestError> {
    let mut names = Vec::new();
    for slice in objects {
        if !slice.is("EndpointSlice", &["discovery.k8s.io"]) {
            continue;
        }
        let service = slice.labels()?.get("kubernetes.io/service-name").copied();
        if !is_of(service.unwrap_or_default()) {
            continue;
        }
        for endpoint in slice.root().at("endpoints")?.items()? {
            // Nothing said of it means ready.
            let ready = endpoint.along(&["conditions", "ready"])?;
            let target = endpoint.at("targetRef")?;
            if (!ready.is_there() || ready.flag()?) && target.at("kind")?.text()? == Some("Pod") {
                names.push(target.at("name")?.required()?.to_owned());
            }
        }
    }
    Ok(names)
}
