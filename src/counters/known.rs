//! The counters that are known by name, and which of their labels says who answered. A further one takes a row.

/// A counter of requests by who answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) metric: &'static str,
    /// Series with another value of this label count the same requests once more, or others.
    pub(super) only: Option<(&'static str, &'static str)>,
    /// The labels of which the first that is filled in says who answered.
    pub(super) by: &'static [&'static str],
}

const fn counter(metric: &'static str, by: &'static [&'static str]) -> Known {
    Known {
        metric,
        only: None,
        by,
    }
}

const fn of(label: &'static str, value: &'static str, known: Known) -> Known {
    Known {
        only: Some((label, value)),
        ..known
    }
}

/// In the order in which they are tried.
pub(super) const KNOWN: &[Known] = &[
    // Istio: the client's proxy and the server's count the same requests; the first chose.
    of(
        "reporter",
        "source",
        counter("istio_requests_total", &["destination_workload"]),
    ),
    of(
        "reporter",
        "destination",
        counter("istio_requests_total", &["destination_workload"]),
    ),
    // ingress-nginx: `canary` is the canary's upstream where that was chosen, and empty elsewhere.
    counter("nginx_ingress_controller_requests", &["canary", "service"]),
    // Linkerd: by the backend of a route, or by the leaf service of a split.
    counter(
        "outbound_http_route_backend_response_statuses_total",
        &["backend_name"],
    ),
    counter(
        "outbound_http_route_backend_requests_total",
        &["backend_name"],
    ),
    of(
        "direction",
        "outbound",
        counter("response_total", &["dst_service"]),
    ),
    counter("traefik_service_requests_total", &["service"]),
    // HAProxy: a session is one attempt, a response the last.
    counter("haproxy_server_http_responses_total", &["server"]),
    counter("haproxy_server_sessions_total", &["server"]),
    // Envoy: of a request that was tried again the last answer alone.
    counter("envoy_cluster_upstream_rq", &["envoy_cluster_name"]),
];

/// Programs that count no requests by upstream, by a metric of theirs, and what to read of them.
pub(super) const COUNT_NO_UPSTREAM: &[(&str, &str)] = &[
    (
        "nginx_http_requests_total",
        "nginx counts all requests together: read its access log with --format nginx",
    ),
    (
        "nginx_connections_accepted",
        "nginx counts all requests together: read its access log with --format nginx",
    ),
    (
        "caddy_http_requests_total",
        "Caddy counts no requests by upstream: read its access log with --format caddy",
    ),
];
