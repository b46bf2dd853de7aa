//! A route → what a run is to expect of it: the split, where to send requests, and whose pods are whose.

use http::uri::PathAndQuery;

use super::ManifestError;
use super::kind::rule;
use super::label::{labels, matched};
use super::route::{PodsOf, Route};
use super::workload::{Workload, Workloads, names};
use crate::identity::assignment::{MappingError, Mappings};
use crate::identity::workload;
use crate::plan::settings::Settings;
use crate::split::Split;

/// What the manifests say of one route.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The expected split.
    pub split: Split,
    /// The host that the route answers to; `None` for any, or for a wildcard.
    pub host: Option<String>,
    /// The path that the route answers to, if one can be named.
    pub path: Option<String>,
    /// `LABEL=PATTERN` texts for [`Mappings::parse`].
    pub backends: Vec<String>,
    /// The route, for a person.
    pub source: String,
    /// What else a request must have to take the route, for a person.
    pub conditions: Vec<String>,
    /// Whether the route takes gRPC calls alone.
    pub is_grpc: bool,
    /// Whether a canary of ingress-nginx makes the split.
    pub is_nginx_canary: bool,
    /// The label of each backend of the route, an index into the split.
    pub(super) labels: Vec<usize>,
    /// The indices of the objects that it comes from.
    pub(super) objects: Vec<usize>,
}

impl Expectation {
    /// What `route` lets expect, under the labels of `expected` where that is given.
    ///
    /// # Errors
    /// Weights of which none is positive; an `expected` split that is another.
    #[expect(
        clippy::too_many_lines,
        reason = "each field is read from the route in its order"
    )]
    pub(super) fn new(
        route: &Route<'_>,
        workloads: &Workloads<'_>,
        expected: Option<&Split>,
    ) -> Result<Self, ManifestError> {
        if let Some(error) = &route.unready {
            return Err(error.clone());
        }
        let found: Vec<Vec<&Workload<'_>>> = route
            .backends
            .iter()
            .map(|backend| workloads.of(backend))
            .collect::<Result<_, _>>()?;
        let own = labels(route, &found);
        let weights = own.iter().zip(&route.backends);
        let pairs = weights.map(|(label, backend)| (label.as_str(), backend.weight));
        let split = Split::new(pairs).map_err(|error| {
            let (object, path) = &route.backends[0].field;
            let problem = format!(
                "and the rest of rule {} ({}) make no split: {error}",
                route.rule,
                route.split()
            );
            object.refused(path, &problem)
        })?;
        let (split, order) = match expected {
            None => {
                let order = (0..split.len()).collect();
                (split, order)
            }
            Some(expected) => {
                let order: Vec<usize> = matched(route, &found, &own, expected)?;
                let agrees = order.iter().enumerate().all(|(backend, &label)| {
                    (split.shares()[backend] - expected.shares()[label]).abs() < 1e-9
                });
                if !agrees {
                    return Err(ManifestError::Disagreement {
                        expected: expected.to_string(),
                        split: split.to_string(),
                        route: route.describe(),
                    });
                }
                (expected.clone(), order)
            }
        };
        let mut backends = Vec::new();
        for (index, mut patterns) in names(&found).into_iter().enumerate() {
            match &route.backends[index].pods {
                PodsOf::Template { workload, hash } => {
                    patterns.push(format!("{workload}-{hash}-*"));
                }
                PodsOf::Workload(name) => patterns.push(name.clone()),
                PodsOf::Service | PodsOf::Subset(_) | PodsOf::Unknown => {}
            }
            let label = &split.labels()[order[index]];
            backends.extend(patterns.iter().map(|pattern| format!("{label}={pattern}")));
        }
        Ok(Self {
            split,
            host: route.host().map(str::to_owned),
            path: route
                .path
                .example()
                .filter(|path| is_path(path))
                .map(str::to_owned),
            backends,
            source: route.describe(),
            conditions: route.conditions.iter().map(ToString::to_string).collect(),
            is_grpc: route.is_grpc,
            is_nginx_canary: rule::is_ingress(route.object) && !route.related.is_empty(),
            labels: order,
            objects: origins(route, workloads),
        })
    }

    /// `settings` with the split, and with host, path and pods where they don't say them.
    ///
    /// # Errors
    /// A `--backend` text that is no mapping.
    pub fn settings(&self, mut settings: Settings) -> Result<Settings, MappingError> {
        let request = &mut settings.request;
        let url = request.url.take();
        let url = url.unwrap_or_else(|| "localhost".to_owned());
        request.url = Some(match &self.path {
            Some(path) if path_of(&url).is_none() && !self.is_grpc => {
                format!("{}{path}", url.strip_suffix('/').unwrap_or(&url))
            }
            _ => url,
        });
        if self.is_grpc && request.grpc.is_none() {
            request.grpc = self.method();
        }
        if request.host.is_none() {
            request.host.clone_from(&self.host);
        }
        settings.expectation.expect = Some(self.split.to_string());
        settings.promise.backend = self.backends(&settings.promise.backend)?;
        settings.manifests.is_nginx_canary = self.is_nginx_canary;
        Ok(settings)
    }

    /// What a route of gRPC calls takes, as `SERVICE/METHOD`; `None` where it leaves the method open.
    fn method(&self) -> Option<String> {
        match self.path.as_deref() {
            // It takes every method, and health checks are what servers answer.
            None | Some("/") => Some("grpc.health.v1.Health/Check".to_owned()),
            Some(path) => {
                let path = path.strip_prefix('/')?;
                path.contains('/').then(|| path.to_owned())
            }
        }
    }

    /// The `--backend` texts of the user, and those of the manifests that don't contradict them.
    fn backends(&self, user: &[String]) -> Result<Vec<String>, MappingError> {
        let labels = self.split.labels();
        let own = Mappings::parse(labels, user)?;
        let mut texts = user.to_vec();
        let is_open = |text: &&String| {
            let pattern = text.split_once('=').map_or("", |(_, pattern)| pattern);
            let pod = pattern.trim_end_matches(['*', '-']);
            own.explicit(pattern, workload::workload(pattern)).is_none()
                && own.explicit(pod, workload::workload(pod)).is_none()
        };
        texts.extend(self.backends.iter().filter(is_open).cloned());
        Ok(texts)
    }
}

/// The path of a URL, if it has one beyond `/`.
pub fn path_of(url: &str) -> Option<&str> {
    let authority = url.find("://").map_or(0, |place| place + 3);
    let slash = url[authority..].find(['/', '?'])?;
    let path = &url[authority + slash..];
    (path != "/").then_some(path)
}

/// Whether `path` can stand in a URL as it is.
fn is_path(path: &str) -> bool {
    path.len() <= 2048
        && path
            .parse::<PathAndQuery>()
            .is_ok_and(|parsed| parsed.as_str() == path)
}

/// The indices of the objects that `route` comes from and of the Services that it leads to.
fn origins(route: &Route<'_>, workloads: &Workloads<'_>) -> Vec<usize> {
    let services = route
        .backends
        .iter()
        .filter_map(|backend| workloads.service(&backend.name, backend.namespace.as_deref()));
    let fields = route.backends.iter().map(|backend| backend.field.0);
    let objects = std::iter::once(route.object)
        .chain(route.related.iter().copied())
        .chain(fields)
        .chain(services);
    objects.map(|object| object.index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(backends: &[&str]) -> Expectation {
        Expectation {
            split: "v1=70,v2=30".parse().unwrap(),
            host: Some("app.example".to_owned()),
            path: Some("/app".to_owned()),
            backends: backends.iter().map(ToString::to_string).collect(),
            source: String::new(),
            conditions: Vec::new(),
            is_grpc: false,
            is_nginx_canary: false,
            labels: Vec::new(),
            objects: Vec::new(),
        }
    }

    #[test]
    fn a_url_keeps_a_path_of_its_own() {
        for (url, expected) in [
            (None, "localhost/app"),
            (Some("http://a:1"), "http://a:1/app"),
            (Some("http://a:1/"), "http://a:1/app"),
            (Some("a/"), "a/app"),
            (Some("http://a/own"), "http://a/own"),
            (Some("http://a/?q=1"), "http://a/?q=1"),
        ] {
            let mut settings = Settings::default();
            settings.request.url = url.map(str::to_owned);
            let settings = expectation(&[]).settings(settings).unwrap();
            assert_eq!(settings.request.url.as_deref(), Some(expected), "{url:?}");
        }
    }

    #[test]
    fn what_the_user_says_of_a_pod_counts_before_the_manifests() {
        let found = expectation(&[
            "v1=app",
            "v1=app-6f79ff6b8d-fmzvc",
            "v2=app-v2",
            "v2=app-v2-0",
        ]);
        let mut settings = Settings::default();
        settings.promise.backend = vec!["v1=app-v2*".to_owned()];
        let settings = found.settings(settings).unwrap();
        assert_eq!(
            settings.promise.backend,
            ["v1=app-v2*", "v1=app", "v1=app-6f79ff6b8d-fmzvc"]
        );
    }
}
