//! What all connections of an ingress share: the routing rule, the prepared answers, the counters.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::config::Config;
use super::counts::{BackendCount, Counts, PodCount};
use super::discipline::Discipline;
use super::draw;
use super::fault::Faults;
use super::host::bare_host;
use super::limiter::{Limit, LimitStatus, Limiter};
use super::page::{self, Page};
use super::pods;
use super::router::{Choice, Router};
use super::rule::{self, Rules};

/// The affinity cookie of ingress-nginx.
const COOKIE: &str = "INGRESSCOOKIE";

/// What all connections of an ingress share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) rules: Rules,
    pub(super) discipline: Discipline,
    pub(super) backends: Vec<Backend>,
    affinity: HashMap<String, Choice>,
    pub(super) host: Option<String>,
    pub(super) ssl_redirect: bool,
    pub(super) limiter: Option<Limiter>,
    pub(super) limit_status: LimitStatus,
    pub(super) limited_backend: Option<usize>,
    pub(super) close_after: Option<NonZeroU64>,
    pub(super) page: Page,
    pub(super) content_type: HeaderValue,
    pub(super) started: Instant,
    /// The next routed request's ordinal.
    pub(super) requests: AtomicU64,
    /// The ordinal of the next connection that routes a request, where backends are drawn by connection.
    pub(super) connections: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// A backend with its counter.
#[derive(Debug)]
pub(super) struct Backend {
    label: String,
    workload: String,
    pub(super) faults: Faults,
    pub(super) delay: Duration,
    pub(super) pods: Vec<Pod>,
    faulted: AtomicU64,
}

/// What an affinity cookie says of a pod.
fn token(pod: &str) -> String {
    format!("{:016x}", draw::hash(pod.as_bytes()))
}

impl Backend {
    fn new(config: &Config, index: usize, backend: pods::Backend) -> Self {
        let host = config.host.as_deref().map_or("localhost", bare_host);
        let pod = |(pod, name): (usize, String)| Pod {
            body: config.page.body(&page::Pod {
                name: &name,
                node: &format!("node-{}", pod % 3 + 1),
                workload: &backend.workload,
                address: &format!("10.42.{}.{}", index % 256, pod % 250 + 2),
                host,
            }),
            headers: config
                .headers
                .iter()
                .map(|header| (header.name().clone(), header.value(&name)))
                .collect(),
            cookie: HeaderValue::from_str(&format!("{COOKIE}={}; Path=/; HttpOnly", token(&name)))
                .expect("a cookie of hexadecimal digits is valid"),
            answered: AtomicU64::new(0),
            name,
        };
        let pods = backend.pods.into_iter().enumerate().map(pod).collect();
        let mut delays = config.delays.iter();
        let delay = delays.find(|delay| delay.backend == backend.label);
        Self {
            faults: config.faults_of(&backend.label),
            delay: delay.map_or(Duration::ZERO, |delay| delay.duration),
            pods,
            label: backend.label,
            workload: backend.workload,
            faulted: AtomicU64::new(0),
        }
    }

    /// Counts an answer that a fault without an identity took the place of.
    pub(super) fn count_fault(&self) {
        self.faulted.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pod with everything that its answers are made of.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) body: Bytes,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) cookie: HeaderValue,
    pub(super) answered: AtomicU64,
}

impl Shared {
    /// What serves a valid `config`.
    pub(super) fn new(config: &Config) -> Self {
        let host = config.host.as_deref().map(bare_host);
        let (mut affinity, mut backends) = (HashMap::new(), Vec::new());
        for (index, of_config) in config.backends().into_iter().enumerate() {
            let backend = Backend::new(config, index, of_config);
            for (pod, one) in backend.pods.iter().enumerate() {
                let choice = Choice {
                    backend: index,
                    pod,
                };
                affinity.insert(token(&one.name), choice);
            }
            backends.push(backend);
        }
        Self {
            router: Router::new(config),
            rules: Rules {
                header: config.route_header.clone(),
                cookie: config.route_cookie.clone(),
                paths: config.route_paths.clone(),
            },
            discipline: config.discipline,
            backends,
            affinity,
            host: host.map(str::to_owned),
            ssl_redirect: config.ssl_redirect,
            limiter: config
                .limit_rpm
                .map(|rate| Limiter::new(Limit::new(rate, config.burst_multiplier))),
            limit_status: config.limit_status,
            limited_backend: config
                .limit_backend
                .as_deref()
                .and_then(|label| config.split.position(label)),
            close_after: config.close_after,
            page: config.page,
            content_type: config.page.content_type(),
            started: Instant::now(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// What has been answered so far.
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            backends: self
                .backends
                .iter()
                .map(|backend| BackendCount {
                    label: backend.label.clone(),
                    workload: backend.workload.clone(),
                    pods: backend
                        .pods
                        .iter()
                        .map(|pod| PodCount {
                            name: pod.name.clone(),
                            answered: read(&pod.answered),
                        })
                        .collect(),
                    faulted: read(&backend.faulted),
                })
                .collect(),
            limited: read(&self.limited),
            refused: read(&self.refused),
        }
    }

    /// The pod that an affinity cookie of the request names.
    pub(super) fn affinity_of(&self, head: &Parts) -> Option<Choice> {
        let token = rule::cookie(&head.headers, COOKIE)?;
        self.affinity.get(token).copied()
    }
}
