//! Services whose selectors don't tell the versions apart, or select nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Findings;
use crate::manifest::ManifestError;
use crate::manifest::object::{Object, same_namespace};
use crate::manifest::route::{Backend, PodsOf, Route};
use crate::manifest::workload::{Selection, Workloads};

/// Findings about the Services behind `routes`.
pub(super) fn lint<'a>(
    routes: &[Route<'a>],
    objects: &'a [Object],
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) {
    let managed = managed(objects);
    let mut seen = BTreeSet::new();
    for route in routes {
        let checked = services(route, &managed, &mut seen, objects, workloads, findings);
        findings.take(route.object, checked);
    }
}

type Key = (Option<String>, String);

#[expect(
    clippy::too_many_arguments,
    reason = "what a rule of lint looks at, and where it writes"
)]
fn services<'a>(
    route: &Route<'a>,
    managed: &[(Option<&str>, &str)],
    seen: &mut BTreeSet<Key>,
    objects: &'a [Object],
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let mut selections = Vec::new();
    for backend in &route.backends {
        let namespace = backend.namespace.as_deref();
        let is_managed = |(of, name): &(Option<&str>, &str)| {
            *name == backend.name && same_namespace(*of, namespace)
        };
        if backend.pods != PodsOf::Service || managed.iter().any(is_managed) {
            continue;
        }
        let selection = workloads.selection(&backend.name, namespace)?;
        if seen.insert((backend.namespace.clone(), backend.name.clone())) {
            alone(backend, &selection, objects, workloads, findings)?;
        }
        if let Selection::Labels(service, selector) = selection {
            selections.push((backend, service, selector));
        }
    }
    for (index, one) in selections.iter().enumerate() {
        for other in &selections[index + 1..] {
            overlap(one, other, workloads, findings)?;
        }
    }
    Ok(())
}

/// Services that a controller points at pods by itself: what their manifests select is not what they do.
fn managed(objects: &[Object]) -> Vec<(Option<&str>, &str)> {
    // The services of Argo Rollouts, its ping-pong services among them, and those that Flagger makes.
    let rollout = [
        "stableService",
        "canaryService",
        "pingService",
        "pongService",
        "activeService",
        "previewService",
    ];
    let mut managed = Vec::new();
    for object in objects {
        let namespace = object.namespace.as_deref();
        if object.is("Rollout", &["argoproj.io"]) {
            let strategy = &object.value["spec"]["strategy"];
            for place in [
                &strategy["canary"],
                &strategy["canary"]["pingPong"],
                &strategy["blueGreen"],
            ] {
                let names = rollout.iter().filter_map(|key| place[*key].as_str());
                managed.extend(names.map(|name| (namespace, name)));
            }
        } else if object.is("Canary", &["flagger.app"]) {
            let spec = &object.value["spec"];
            let name = spec["service"]["name"]
                .as_str()
                .or(spec["targetRef"]["name"].as_str());
            managed.extend(name.map(|name| (namespace, name)));
        }
    }
    managed
}

fn alone<'a>(
    backend: &Backend<'a>,
    selection: &Selection<'a>,
    objects: &[Object],
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    let has = |kinds: &[&str]| {
        objects
            .iter()
            .any(|object| kinds.contains(&object.kind.as_str()))
    };
    let (object, path) = &backend.field;
    match selection {
        Selection::NoService if has(&["Service"]) => {
            let message = format!(
                "leads to the Service {}, which is not among the manifests",
                backend.name
            );
            findings.warning("service_not_found", object, path, message);
        }
        Selection::Labels(service, _) => {
            let is_seen = has(&[
                "Pod",
                "Deployment",
                "StatefulSet",
                "DaemonSet",
                "ReplicaSet",
                "Rollout",
            ]);
            if is_seen && workloads.of(backend)?.is_empty() {
                let message = "matches no pod and no workload among the manifests".to_owned();
                findings.warning(
                    "selector_matches_nothing",
                    service,
                    "spec.selector",
                    message,
                );
            }
        }
        Selection::NoService | Selection::NoSelector => {}
    }
    Ok(())
}

type Selected<'s, 'a> = (&'s Backend<'a>, &'a Object, BTreeMap<&'a str, &'a str>);

fn overlap<'a>(
    one: &Selected<'_, 'a>,
    other: &Selected<'_, 'a>,
    workloads: &Workloads<'a>,
    findings: &mut Findings,
) -> Result<(), ManifestError> {
    // A Service selects pods of its own namespace.
    let namespaces = (one.1.namespace.as_deref(), other.1.namespace.as_deref());
    if std::ptr::eq(one.1, other.1) || !same_namespace(namespaces.0, namespaces.1) {
        return Ok(());
    }
    let is_within = |small: &Selected<'_, '_>, large: &Selected<'_, '_>| {
        small
            .2
            .iter()
            .all(|(key, value)| large.2.get(key) == Some(value))
    };
    let (wide, narrow) = if is_within(one, other) {
        (one, other)
    } else {
        (other, one)
    };
    let both = workloads.of(wide.0)?;
    let of_narrow = workloads.of(narrow.0)?;
    let shared = both
        .iter()
        .find(|found| of_narrow.iter().any(|known| std::ptr::eq(*known, **found)));
    let why = if is_within(wide, narrow) {
        format!("every pod of {} has these labels as well", narrow.1.title())
    } else if let Some(shared) = shared {
        format!(
            "{} is selected by {} as well",
            shared.object.title(),
            narrow.1.title()
        )
    } else {
        return Ok(());
    };
    let message = format!(
        "matches the pods of both versions: {why}, so that they share its requests; select by a label that only one version has"
    );
    findings.error("selectors_overlap", wide.1, "spec.selector", message);
    Ok(())
}
