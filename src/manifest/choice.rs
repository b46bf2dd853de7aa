//! Many routes → the one that is meant.

use super::ManifestError;
use super::kind::KINDS;
use super::object::{Object, same_namespace};
use super::route::{Place, Route};

/// What the user says of the route.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// `NAME`, `NAMESPACE/NAME` or `NAMESPACE/NAME/RULE`.
    pub route: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// The path of the URL, where it has one.
    pub path: Option<&'a str>,
}

/// How many routes a message lists.
const MAX_LISTED: usize = 12;

/// The route that `choice` means.
///
/// # Errors
/// No route at all, none that fits, or several that do.
pub(super) fn chosen<'r, 'a>(
    routes: &'r [Route<'a>],
    objects: &[Object],
    choice: Choice<'_>,
) -> Result<&'r Route<'a>, ManifestError> {
    if routes.is_empty() {
        return Err(ManifestError::NoRoute {
            kinds: KINDS,
            found: found(objects),
        });
    }
    let mut left: Vec<&Route<'_>> = routes.iter().collect();
    if let Some(name) = choice.route {
        left.retain(|route| is_named(route, name));
        if left.is_empty() {
            return Err(ManifestError::Unknown {
                option: format!("--route {}", name.escape_debug()),
                routes: listed(routes.iter()),
            });
        }
    }
    if let Some(host) = choice.host {
        let answering: Vec<_> = left
            .iter()
            .copied()
            .filter(|route| route.answers(host))
            .collect();
        if !answering.is_empty() {
            left = answering;
        } else if choice.route.is_none() {
            return Err(ManifestError::Unknown {
                option: format!("--host {}", host.escape_debug()),
                routes: listed(left.into_iter()),
            });
        }
    }
    if left.len() > 1
        && let Some(path) = choice.path
    {
        let best = left.iter().filter_map(|route| route.path.fit(path)).max();
        if best.is_some() {
            left.retain(|route| route.path.fit(path) == best);
        }
    }
    if left.len() > 1 {
        let splits: Vec<_> = left
            .iter()
            .copied()
            .filter(|route| route.backends.len() > 1)
            .collect();
        if !splits.is_empty() {
            left = splits;
        }
    }
    if left.len() > 1 && choice.host.is_some() {
        // A route for this very host comes before one for any.
        let own: Vec<_> = left
            .iter()
            .copied()
            .filter(|route| !route.hosts.is_empty())
            .collect();
        if !own.is_empty() {
            left = own;
        }
    }
    match left[..] {
        [route] => Ok(route),
        _ => Err(ManifestError::Ambiguous {
            routes: listed(left.into_iter()),
        }),
    }
}

fn is_named(route: &Route<'_>, name: &str) -> bool {
    let mut parts = name.split('/');
    let (first, second, rule) = (parts.next(), parts.next(), parts.next());
    let (namespace, name) = match (first, second) {
        (first, Some(name)) => (first, name),
        (first, None) => (None, first.unwrap_or_default()),
    };
    let is_object = |object: &Object| {
        object.name == name && same_namespace(object.namespace.as_deref(), namespace)
    };
    let is_rule = match rule {
        None => true,
        Some(rule) => route.rule_name == Some(rule) || rule.parse() == Ok(route.rule),
    };
    is_rule
        && parts.next().is_none()
        && (is_object(route.object) || route.related.iter().any(|object| is_object(object)))
}

fn listed<'r, 'a: 'r>(routes: impl ExactSizeIterator<Item = &'r Route<'a>>) -> String {
    let count = routes.len();
    let mut told: Vec<String> = routes.take(MAX_LISTED).map(Route::describe).collect();
    if count > MAX_LISTED {
        told.push(format!("{} more", count - MAX_LISTED));
    }
    told.join("; ")
}

/// The kinds that were found, for a person.
fn found(objects: &[Object]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for object in objects {
        let version = if object.group.is_empty() {
            object.version.clone()
        } else {
            format!("{}/{}", object.group, object.version)
        };
        let kind = format!("{} ({version})", object.kind);
        if !kinds.contains(&kind) && kinds.len() < MAX_LISTED {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return "no object at all".to_owned();
    }
    kinds.join(", ")
}

/// Joins what belongs together: a rollout with the route that it drives, a split behind a service with the
/// rule that sends requests there.
pub(super) fn joined(routes: Vec<Route<'_>>) -> Vec<Route<'_>> {
    let (mut entries, others): (Vec<_>, Vec<_>) = routes
        .into_iter()
        .partition(|route| route.place == Place::Entry);
    let mut joined = Vec::new();
    for mut route in others {
        if matches!(route.place, Place::Controller { .. })
            && let Some(entry) = entries.iter_mut().find(|entry| same_split(entry, &route))
        {
            // The rule has host and path, the rollout knows the pods.
            for backend in &mut entry.backends {
                if let Some(own) = route.backends.iter().find(|own| own.name == backend.name) {
                    backend.pods.clone_from(&own.pods);
                    backend.role = own.role;
                }
            }
            entry.related.push(route.object);
            continue;
        }
        let apex = match &route.place {
            Place::Behind(apex) | Place::Controller { apex } => apex.clone(),
            Place::Entry => continue,
        };
        let leads_here = |entry: &Route<'_>| {
            entry.backends.len() == 1
                && entry.backends[0].name == apex
                && same_namespace(
                    entry.backends[0].namespace.as_deref(),
                    route.object.namespace.as_deref(),
                )
        };
        let leading: Vec<usize> = (0..entries.len())
            .filter(|&index| leads_here(&entries[index]))
            .collect();
        if let [index] = leading[..] {
            let entry = entries.remove(index);
            if route.hosts.is_empty() {
                route.hosts = entry.hosts;
            }
            route.path = entry.path;
            route.conditions.extend(entry.conditions);
            route.related.push(entry.object);
        }
        joined.push(route);
    }
    entries.extend(joined);
    entries
}

/// Whether two routes split over the same services in the same shares.
fn same_split(one: &Route<'_>, other: &Route<'_>) -> bool {
    let (total, others) = (one.total(), other.total());
    one.backends.len() == other.backends.len()
        && total > 0.0
        && others > 0.0
        && one.backends.iter().all(|backend| {
            other.backends.iter().any(|own| {
                own.name == backend.name
                    && same_namespace(own.namespace.as_deref(), backend.namespace.as_deref())
                    && (own.weight / others - backend.weight / total).abs() < 1e-9
            })
        })
}
