//! Rules and what belongs to them: the controller that drives them, the split behind a service that they
//! lead to, the workloads behind the only service.

use super::object::{Object, same_namespace};
use super::route::{Backend, Driven, Place, PodsOf, Remark, Route};
use super::workload::{Workloads, shared};
use super::{ManifestError, kind};

/// All rules of some objects, and the pods behind them.
pub(super) struct Joined<'a> {
    pub(super) routes: Vec<Route<'a>>,
    pub(super) workloads: Workloads<'a>,
    /// Why objects can't be what their kind says.
    pub(super) refused: Vec<ManifestError>,
}

impl<'a> Joined<'a> {
    /// Those of `objects` at `step` of a rollout.
    ///
    /// # Errors
    /// Objects that can't be joined.
    pub(super) fn read(objects: &'a [Object], step: Option<usize>) -> Result<Self, ManifestError> {
        let (reading, workloads) = (kind::read(objects, step), Workloads::read(objects));
        let refused = reading.refused.iter().chain(&workloads.refused);
        let refused = refused.map(|(_, error)| error.clone()).collect();
        Ok(Self {
            routes: joined(reading.routes, &workloads)?,
            workloads,
            refused,
        })
    }
}

/// Joins what belongs together, so that each rule stands once, with the split that it has.
pub(super) fn joined<'a>(
    routes: Vec<Route<'a>>,
    workloads: &Workloads<'a>,
) -> Result<Vec<Route<'a>>, ManifestError> {
    let (mut entries, others): (Vec<_>, Vec<_>) = routes
        .into_iter()
        .partition(|route| route.place == Place::Entry);
    let (behind, controllers): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|route| matches!(route.place, Place::Behind(_)));
    let mut left = Vec::new();
    // A controller may drive a split behind a service: it comes first.
    let mut behind = behind;
    for controller in controllers {
        let mut is_joined = false;
        for entry in entries.iter_mut().chain(&mut behind) {
            is_joined |= drive(entry, &controller, workloads)?;
        }
        if !is_joined {
            left.push(controller);
        }
    }
    left.extend(behind);
    let mut joined = Vec::new();
    for route in left {
        match &route.place {
            Place::Behind(apex)
            | Place::Controller {
                apex,
                is_unrouted: false,
                ..
            } => {
                replace(&route, apex, &mut entries, &mut joined);
            }
            _ => joined.push(route),
        }
    }
    entries.extend(joined);
    for entry in &mut entries {
        spread(entry, workloads)?;
    }
    Ok(entries)
}

/// Puts the split of `route` in the place of the rules that lead to its `apex`.
fn replace<'a>(
    route: &Route<'a>,
    apex: &str,
    entries: &mut Vec<Route<'a>>,
    joined: &mut Vec<Route<'a>>,
) {
    let leads_here = |entry: &Route<'_>| {
        let [backend] = &entry.backends[..] else {
            return false;
        };
        let (namespace, own) = (
            backend.namespace.as_deref(),
            route.object.namespace.as_deref(),
        );
        backend.name == apex && same_namespace(namespace, own)
    };
    let mut leading: Vec<Route<'a>> = entries.extract_if(.., |entry| leads_here(entry)).collect();
    if leading.is_empty() {
        joined.push(route.clone());
    }
    for entry in &mut leading {
        let mut route = route.clone();
        if route.hosts.is_empty() {
            route.hosts.append(&mut entry.hosts);
        }
        route.path = entry.path.clone();
        route.conditions.append(&mut entry.conditions);
        route.alternatives.append(&mut entry.alternatives);
        route.related.push(entry.object);
        joined.push(route);
    }
}

/// Gives `entry` the split of `controller`, if that drives it.
#[expect(
    clippy::too_many_lines,
    reason = "each controller names its route in its own way"
)]
fn drive<'a>(
    entry: &mut Route<'a>,
    controller: &Route<'a>,
    workloads: &Workloads<'a>,
) -> Result<bool, ManifestError> {
    let Place::Controller {
        apex,
        drives,
        is_unrouted,
    } = &controller.place
    else {
        return Ok(false);
    };
    if *is_unrouted {
        return unrouted(entry, controller, apex, workloads);
    }
    let holds = |object: &Object| drives.iter().any(|driven| is_driven(object, driven));
    let is_named = holds(entry.object)
        || entry.related.iter().any(|object| holds(object))
        || entry.backends.iter().any(|backend| holds(backend.field.0));
    let shares = entry
        .backends
        .iter()
        .any(|backend| counterpart(backend, controller).is_some());
    let is_apex = |backend: &Backend<'_>| backend.name == *apex;
    let leads = entry.backends.len() == 1 && is_apex(&entry.backends[0]);
    if !(is_named && (shares || leads)) && !same_split(entry, controller) {
        return Ok(false);
    }
    let is_complete = controller.backends.iter().all(|own| {
        entry.backends.iter().any(|backend| {
            counterpart(backend, controller).is_some_and(|one| std::ptr::eq(one, own))
        })
    });
    let is_ready = controller.unready.is_none();
    if !is_ready && !is_complete {
        entry.unready.clone_from(&controller.unready);
    }
    if leads && !shares {
        entry.backends.clear();
    }
    // Requests that go to one backend whatever the weights say, by the part that it plays.
    let pins = controller.pins.iter().filter_map(|(condition, taker)| {
        Some((condition.clone(), controller.backends.get(*taker)?.role))
    });
    let pins: Vec<_> = pins.collect();
    for own in &controller.backends {
        let known = entry.backends.iter_mut().find(|backend| {
            counterpart(backend, controller).is_some_and(|one| std::ptr::eq(one, own))
        });
        match known {
            // The rule has host and path, the rollout knows weights and pods.
            Some(known) => {
                if is_ready {
                    known.weight = own.weight;
                    known.field = own.field.clone();
                }
                known.pods.clone_from(&own.pods);
                known.role = own.role;
            }
            None => entry.backends.push(own.clone()),
        }
    }
    for (condition, role) in pins {
        let taker = entry.backends.iter().position(|own| own.role == role);
        entry.pins.extend(taker.map(|taker| (condition, taker)));
    }
    entry.remarks.extend(controller.remarks.iter().cloned());
    entry.related.push(controller.object);
    Ok(true)
}

fn is_driven(object: &Object, driven: &Driven) -> bool {
    object.kind == driven.kind && object.is_called(&driven.name, driven.namespace.as_deref())
}

/// A Rollout without a router: the stable service has the stable pods alone; a service for all pods has both, in
/// the shares of their numbers. They are those of the Rollout itself, or of the workload `apex`.
fn unrouted<'a>(
    entry: &mut Route<'a>,
    controller: &Route<'a>,
    apex: &str,
    workloads: &Workloads<'a>,
) -> Result<bool, ManifestError> {
    let [backend] = &entry.backends[..] else {
        return Ok(false);
    };
    let role = counterpart(backend, controller).and_then(|own| own.role);
    let is_one = |own: &&Backend<'a>| own.pods != PodsOf::Unknown && own.role == role;
    if role.is_some() && controller.backends.iter().any(|own| is_one(&own)) {
        let field = backend.field.clone();
        entry.backends.clone_from(&controller.backends);
        for own in &mut entry.backends {
            let is_here = own.role == role;
            if !is_here && own.weight > 0.0 {
                let message = format!(
                    "leads to {}, which has the {} pods alone, since nothing routes requests: none reach the others, \
                     whatever setWeight says; add spec.strategy.canary.trafficRouting to {}, or lead to a Service of all pods",
                    backend_name(controller, role),
                    role.unwrap_or("stable"),
                    controller.object.title()
                );
                entry.remarks.push(Remark {
                    is_error: true,
                    code: "canary_gets_nothing",
                    field: field.clone(),
                    message,
                });
            }
            own.weight = if is_here { 100.0 } else { 0.0 };
        }
    } else {
        let found = workloads.of(backend)?;
        let is_whole = found.iter().any(|found| {
            [&controller.object.name, apex].contains(&found.family())
                && same_namespace(
                    found.object.namespace.as_deref(),
                    controller.object.namespace.as_deref(),
                )
        });
        if !is_whole || controller.backends.iter().any(|own| own.role.is_none()) {
            return Ok(false);
        }
        entry.backends.clone_from(&controller.backends);
        entry.unready.clone_from(&controller.unready);
        entry.remarks.extend(controller.remarks.iter().cloned());
    }
    entry.related.push(controller.object);
    Ok(true)
}

fn backend_name(controller: &Route<'_>, role: Option<&str>) -> String {
    let own = controller.backends.iter().find(|own| own.role == role);
    own.map_or(String::new(), |own| own.name.clone())
}

/// Whether `entry` splits over the backends of `controller` in the same shares.
fn same_split(entry: &Route<'_>, controller: &Route<'_>) -> bool {
    let (total, others) = (entry.total(), controller.total());
    let has_same_shares = |backend: &Backend<'_>| {
        let own = counterpart(backend, controller);
        own.is_some_and(|own| (own.weight / others - backend.weight / total).abs() < 1e-9)
    };
    entry.backends.len() == controller.backends.len()
        && total > 0.0
        && others > 0.0
        && entry.backends.iter().all(has_same_shares)
}

/// The backend of `controller` that `backend` of a rule is: by its service, by its subset or the subset
/// that is called after its role, or as the primary behind the service that all requests went to before.
fn counterpart<'c, 'a>(
    backend: &Backend<'_>,
    controller: &'c Route<'a>,
) -> Option<&'c Backend<'a>> {
    let namespace = backend.namespace.as_deref();
    controller.backends.iter().find(|own| {
        let is_apex =
            matches!(&controller.place, Place::Controller { apex, .. } if *apex == backend.name);
        let is_subset = backend.variant.is_some()
            && (own.variant == backend.variant
                || own.variant.is_none() && own.role == backend.variant.as_deref());
        let is_called = own.name == backend.name && own.variant.is_none()
            || is_subset
            || (own.role == Some("primary") && is_apex);
        is_called && same_namespace(own.namespace.as_deref(), namespace)
    })
}

/// One service over several workloads splits by their numbers of pods.
fn spread<'a>(route: &mut Route<'a>, workloads: &Workloads<'a>) -> Result<(), ManifestError> {
    let [backend] = &route.backends[..] else {
        return Ok(());
    };
    let found = workloads.of(backend)?;
    let Some(shared) = shared(&found, workloads) else {
        return Ok(());
    };
    let service = workloads.service(&backend.name, backend.namespace.as_deref());
    let field = service.map_or_else(
        || backend.field.clone(),
        |service| (service, "spec.selector".to_owned()),
    );
    let parts: Vec<String> = shared
        .iter()
        .map(|(name, pods)| match pods {
            Some(pods) => format!("{name} ({pods})"),
            None => format!("{name} (any number)"),
        })
        .collect();
    let parts = parts.join(" and ");
    let counts: Option<Vec<u64>> = shared.iter().map(|(_, pods)| *pods).collect();
    let message = format!(
        "selects the pods of {} workloads, which share the requests by their numbers of pods: {parts}; judge such a split \
         with --judge tolerance, or give each version a Service of its own",
        shared.len()
    );
    let pattern = backend.clone();
    if let Some(counts) = counts {
        let part = |((name, _), pods): (&(String, Option<u64>), u64)| Backend {
            name: name.clone(),
            pods: PodsOf::Workload(name.clone()),
            variant: None,
            weight: pods as f64,
            ..pattern.clone()
        };
        route.backends = shared.iter().zip(counts).map(part).collect();
    } else {
        let problem = format!(
            "selects the pods of several workloads, whose numbers nothing here tells: {parts}; give the pods as well \
             (kubectl get pods -o json), or --expect without --expect-from"
        );
        route.unready = Some(field.0.refused(&field.1, &problem));
    }
    route.remarks.push(Remark {
        is_error: false,
        code: "approximate_split",
        field,
        message,
    });
    Ok(())
}
