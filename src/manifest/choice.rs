//! Many routes → the one that is meant.

use std::num::NonZeroUsize;

use super::ManifestError;
use super::kind;
use super::object::{Object, same_namespace};
use super::route::Route;

/// What the user says of the route.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// `NAME`, `NAMESPACE/NAME` or `NAMESPACE/NAME/RULE`.
    pub route: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// The path of the URL, where it has one.
    pub path: Option<&'a str>,
    /// The step of a rollout, from 1.
    pub step: Option<NonZeroUsize>,
}

/// How many routes a message lists.
const MAX_LISTED: usize = 12;

/// The route that `choice` means.
///
/// # Errors
/// No route at all, none that fits, or several that do.
#[expect(
    clippy::too_many_lines,
    reason = "each way to choose is told apart from the others"
)]
pub(super) fn chosen<'r, 'a>(
    routes: &'r [Route<'a>],
    objects: &[Object],
    choice: Choice<'_>,
) -> Result<&'r Route<'a>, ManifestError> {
    if routes.is_empty() {
        return Err(no_route(objects));
    }
    let mut left: Vec<&Route<'_>> = routes.iter().collect();
    if choice.route.is_none() {
        // What never gets a request is meant only where it is asked for.
        left.retain(|route| route.hidden_by.is_none());
    }
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
        // Rules that say the same in several files are one.
        [route, ref others @ ..]
            if others.iter().all(|other| {
                other.describe() == route.describe() && other.doors == route.doors
            }) =>
        {
            Ok(route)
        }
        _ => Err(ManifestError::Ambiguous {
            routes: listed(left.into_iter()),
        }),
    }
}

/// That nothing routes anything.
pub(super) fn no_route(objects: &[Object]) -> ManifestError {
    let mut empty: Vec<String> = Vec::new();
    for object in objects.iter().filter(|object| kind::is_read(object)) {
        let reason = format!("{} {}", object.title(), leads_nowhere(object));
        if !empty.contains(&reason) && empty.len() < MAX_LISTED {
            empty.push(reason);
        }
    }
    let why = if empty.is_empty() {
        let (kinds, found) = (kind::names(), found(objects));
        format!("the split is read from {kinds}, and they have {found}")
    } else {
        empty.join("; ")
    };
    ManifestError::NoRoute { why }
}

/// Why an object of a kind that is read has no route.
fn leads_nowhere(object: &Object) -> &'static str {
    let spec = &object.value["spec"];
    let has_rules = ["rules", "defaultBackend", "backend"]
        .iter()
        .any(|key| !spec[key].is_null());
    match &*object.kind {
        "Ingress" if !has_rules => "has neither rules nor a defaultBackend",
        "Ingress" => {
            "leads to no Service and no target group, by an action that redirects or answers by itself, or to a resource"
        }
        "Rollout" => "has the strategy blueGreen, which sends all requests to one Service",
        _ => "leads to no backend: its rules are missing, redirect or answer by themselves",
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
    let mut parts: Vec<String> = routes.take(MAX_LISTED).map(Route::describe).collect();
    if count > MAX_LISTED {
        parts.push(format!("{} more", count - MAX_LISTED));
    }
    parts.join("; ")
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
        // One of the same name may be another kind.
        let others = kind::groups(&object.kind).join(" or ");
        let other = match &*others {
            "" => String::new(),
            others => format!(", not that of {others}"),
        };
        let kind = format!("{} ({version}{other})", object.kind);
        if !kinds.contains(&kind) && kinds.len() < MAX_LISTED {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return "no object at all".to_owned();
    }
    kinds.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::{Input, Manifests};

    fn manifests(objects: &[serde_json::Value]) -> Manifests {
        let bytes = objects
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
            .into_bytes();
        let name = "objects".to_owned();
        let is_found = false;
        Manifests::read(&[Input {
            name,
            bytes,
            is_found,
        }])
        .unwrap()
    }

    fn ingress(name: &str, service: &str, weight: Option<&str>) -> serde_json::Value {
        let mut annotations = json!({});
        if let Some(weight) = weight {
            annotations = json!({
                "nginx.ingress.kubernetes.io/canary": "true",
                "nginx.ingress.kubernetes.io/canary-weight": weight,
            });
        }
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"rules": [{"host": "app.example", "http": {"paths": [path]}}]},
        })
    }

    #[test]
    fn flagger_and_the_ingresses_that_it_drives_are_one_route() {
        let canary = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo"},
            "spec": {"targetRef": {"name": "podinfo"}}, "status": {"canaryWeight": 20},
        });
        let objects = [
            canary,
            ingress("podinfo", "podinfo", None),
            ingress("podinfo-canary", "podinfo-canary", Some("20")),
        ];
        let found = manifests(&objects)
            .expectation(Choice::default(), None)
            .unwrap();
        assert_eq!(found.split.to_string(), "podinfo=80,podinfo-canary=20");
        assert_eq!(found.host.as_deref(), Some("app.example"));
        let mut backends = found.backends;
        backends.sort();
        assert_eq!(
            backends,
            ["podinfo-canary=podinfo", "podinfo=podinfo-primary"]
        );
    }

    #[test]
    fn a_rollout_and_the_subsets_that_it_drives_are_one_route() {
        let destination = |subset: &str, weight: u64| json!({"destination": {"host": "app", "subset": subset}, "weight": weight});
        let objects = [
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "app"},
                "spec": {"strategy": {"canary": {"trafficRouting": {"istio": {}}, "steps": [{"setWeight": 5}]}}},
                "status": {"currentStepIndex": 0, "currentPodHash": "7bf84f9696", "stableRS": "687d76d795"},
            }),
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "app"},
                "spec": {"hosts": ["app.example"], "http": [{"route": [destination("stable", 95), destination("canary", 5)]}]},
            }),
        ];
        let found = manifests(&objects)
            .expectation(Choice::default(), None)
            .unwrap();
        assert_eq!(found.split.to_string(), "stable=95,canary=5");
        assert_eq!(
            found.backends,
            ["stable=app-687d76d795-*", "canary=app-7bf84f9696-*"]
        );
        let other = "stable=70,canary=30".parse().unwrap();
        let refused = manifests(&objects)
            .expectation(Choice::default(), Some(&other))
            .unwrap_err();
        assert!(
            refused.to_string().contains("stable=95,canary=5"),
            "{refused}"
        );
    }

    #[test]
    fn a_host_that_two_routes_share_is_settled_by_the_path() {
        let route = |name: &str, path: &str, weight: u64| {
            let backends = json!([{"name": "v1", "weight": weight}, {"name": "v2", "weight": 1}]);
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
                "spec": {"hostnames": ["*.example"], "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": backends}]},
            })
        };
        let manifests = manifests(&[route("all", "/", 1), route("api", "/api", 3)]);
        let split = |path: Option<&str>| {
            let choice = Choice {
                host: Some("a.example:8080"),
                path,
                route: None,
                step: None,
            };
            let found = manifests.expectation(choice, None);
            found
                .map(|found| found.split.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(split(Some("/api/x?y")).as_deref(), Ok("v1=3,v2=1"));
        assert_eq!(split(Some("/apis")).as_deref(), Ok("v1=1,v2=1"));
        assert!(split(None).unwrap_err().contains("HTTPRoute all"));
    }
}
