//! What the backends are called in the report: versions where their pods carry them, else Service names.

use super::ManifestError;
use super::object::full_name;
use super::route::{PodsOf, Route};
use super::workload::{Workload, versions};
use crate::identity::assignment::{Group, assign};
use crate::split::Split;

/// A label for each backend of `route`, whose pods are `workloads`.
///
/// Versions count if every backend has one of its own; then subsets, names, and names with what tells
/// them apart.
pub(super) fn labels(route: &Route<'_>, workloads: &[Vec<&Workload<'_>>]) -> Vec<String> {
    let versions: Option<Vec<String>> = workloads.iter().map(|found| version(found)).collect();
    let backends = &route.backends;
    let variants = || {
        let all = backends.iter().map(|backend| backend.variant.clone());
        let is_one_service = backends
            .iter()
            .all(|backend| backend.name == backends[0].name);
        // The port of a lone Service tells it from nothing; a subset is what it is called all the same.
        let tells = backends.len() > 1 || matches!(backends[0].pods, PodsOf::Subset(_));
        all.collect::<Option<Vec<_>>>()
            .filter(|_| is_one_service && tells)
    };
    let names = || {
        backends
            .iter()
            .map(|backend| backend.name.clone())
            .collect()
    };
    let apart =
        |with: fn(&super::route::Backend<'_>) -> String| backends.iter().map(with).collect();
    let longer = || {
        apart(|backend| match &backend.variant {
            Some(variant) => format!("{}:{variant}", backend.name),
            None => backend.name.clone(),
        })
    };
    let full_names = || apart(|backend| full_name(backend.namespace.as_deref(), &backend.name));
    let longest = || {
        apart(|backend| {
            let namespace = backend.namespace.as_deref().unwrap_or_default();
            let variant = backend.variant.as_deref().unwrap_or_default();
            format!("{namespace}/{}:{variant}", backend.name)
        })
    };
    let candidates: [Option<Vec<String>>; 6] = [
        versions,
        variants(),
        Some(names()),
        Some(full_names()),
        Some(longer()),
        Some(longest()),
    ];
    let distinct = candidates
        .into_iter()
        .flatten()
        .find(|labels: &Vec<String>| {
            let mut sorted = labels.clone();
            sorted.sort_unstable();
            sorted.windows(2).all(|pair| pair[0] != pair[1])
        });
    distinct.unwrap_or_else(names)
}

/// The one version that all of `workloads` run, if it can be a label.
fn version(workloads: &[&Workload<'_>]) -> Option<String> {
    let versions: Vec<Option<&str>> = versions(workloads).into_iter().collect();
    match versions[..] {
        [Some(version)] => {
            let version = version.to_owned();
            Split::new([(version.as_str(), 1.0)])
                .is_ok()
                .then_some(version)
        }
        _ => None,
    }
}

/// Which of `expected`'s labels each backend of `route` is: `order[b]` is its index.
///
/// The user may call the backends by their labels, Service names, subsets, roles, versions or workloads,
/// or by a name that ends a Service's (`v2` for `app-service-v2`).
///
/// # Errors
/// Labels that can't be told apart that way.
pub(super) fn matched(
    route: &Route<'_>,
    workloads: &[Vec<&Workload<'_>>],
    labels: &[String],
    expected: &Split,
) -> Result<Vec<usize>, ManifestError> {
    let refused = || ManifestError::Labels {
        expected: expected.to_string(),
        route: route.describe(),
        labels: labels.join(", "),
    };
    let backends = &route.backends;
    if backends.len() != expected.len() {
        return Err(refused());
    }
    let mut order: Vec<Option<usize>> = vec![None; backends.len()];
    for (index, label) in expected.labels().iter().enumerate() {
        let mut called = (0..backends.len()).filter(|&backend| {
            is_called(
                &route.backends[backend],
                &workloads[backend],
                &labels[backend],
                label,
            )
        });
        if let (Some(backend), None) = (called.next(), called.next()) {
            order[backend] = Some(index);
        }
    }
    // What is left is read off names, as pods are: by Service names, then by those of the workloads.
    let families = |backend: usize| {
        workloads[backend]
            .first()
            .map(|found| found.family().to_owned())
    };
    let service = |backend: usize| Some(backends[backend].name.clone());
    let readings: [&dyn Fn(usize) -> Option<String>; 2] = [&service, &families];
    for reading in readings {
        let groups: Option<Vec<Group>> = (0..backends.len())
            .map(|backend| {
                let name = reading(backend)?;
                Some(Group {
                    owner: format!("{name} {backend}"),
                    explicit: order[backend],
                    ..Group::alone(&name)
                })
            })
            .collect();
        let Some(groups) = groups else { continue };
        let assigned = assign(expected, &groups).fixed;
        let complete: Option<Vec<usize>> = assigned.into_iter().collect();
        if let Some(complete) = complete
            && (0..backends.len()).all(|label| complete.contains(&label))
        {
            return Ok(complete);
        }
    }
    Err(refused())
}

fn is_called(
    backend: &super::route::Backend<'_>,
    workloads: &[&Workload<'_>],
    label: &str,
    name: &str,
) -> bool {
    let is_workload =
        |found: &&Workload<'_>| found.family() == name || found.version() == Some(name);
    label == name
        || backend.name == name
        || backend.variant.as_deref() == Some(name)
        || backend.role == Some(name)
        || workloads.iter().any(is_workload)
}
