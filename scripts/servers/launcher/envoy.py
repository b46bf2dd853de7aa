"""Envoy, from the Python package that carries it, with weighted clusters."""

import json
from typing import Any

from .environment import envoy
from .site import DEFAULT_BACKEND, Backend, Site

TYPES = "type.googleapis.com/envoy"
# `clusters` has a cluster for each app, with the weights; the others one cluster of all apps, and are what it balances them by.
ALGORITHMS = ("clusters", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH")
# The header that RING_HASH goes by.
KEY = "x-key"
# What each format is: Envoy's own where there is nothing, one line of text, or an object.
ISTIO = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
OBJECT = {
    "start_time": "%START_TIME%",
    "path": "%REQ(:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "response_code": "%RESPONSE_CODE%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
}
LOGGED: dict[str, dict[str, Any]] = {
    "envoy": {},
    "envoy-json": {"log_format": {"json_format": OBJECT}},
    "istio": {"log_format": {"text_format_source": {"inline_string": ISTIO}}},
}


def command(site: Site) -> list[str]:
    """Envoy before the apps; its plain port speaks HTTP/2 by prior knowledge too."""
    listeners = [_listener(site, "plain", site.plain_port, None)]
    if site.certificates is not None and site.tls_port is not None:
        listeners.append(_listener(site, "tls", site.tls_port, _tls(site)))
    if site.balance == "clusters":
        clusters = [_cluster(backend.label, [backend], site.is_grpc) for backend in site.positive()]
    else:
        clusters = [{**_cluster("apps", site.positive(), site.is_grpc), "lb_policy": site.balance}]
    parts: dict[str, Any] = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    if site.metrics_port is not None:
        parts["admin"] = {"address": _address(site.metrics_port)}
    config = site.directory / "envoy.json"
    config.write_text(json.dumps(parts, indent=2))
    flush = ["--file-flush-interval-msec", "100"] if site.access_log else []
    return [envoy(), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", *flush, "-c", str(config)]


def _listener(site: Site, name: str, port: int, transport: dict[str, Any] | None) -> dict[str, Any]:
    weights = [{"name": backend.label, "weight": backend.weight} for backend in site.positive()]
    # As Istio has it: a connection to an app that breaks before an answer is no answer of the app's.
    retries = {"retry_on": "connect-failure,refused-stream,reset", "num_retries": 2}
    route = {"weighted_clusters": {"clusters": weights}, "retry_policy": retries}
    if site.balance != "clusters":
        route = {"cluster": "apps", "hash_policy": [{"header": {"header_name": KEY}}], "retry_policy": retries}
    apps = {"match": {"prefix": "/"}, "route": route}
    unknown = {"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": DEFAULT_BACKEND}}}
    manager: dict[str, Any] = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "route_config": {
            "virtual_hosts": [
                {"name": "apps", "domains": [site.host, f"{site.host}:*"], "routes": [apps]},
                {"name": "unknown", "domains": ["*"], "routes": [unknown]},
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    manager["access_log"] = [
        {
            "name": format_name,
            "typed_config": {
                "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
                "path": str(file),
                **LOGGED[format_name],
            },
        }
        for format_name, file in site.access_logs(*LOGGED).items()
    ]
    if site.requests_per_connection is not None:
        manager["common_http_protocol_options"] = {"max_requests_per_connection": site.requests_per_connection}
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if transport is not None:
        chain["transport_socket"] = transport
    return {"name": name, "address": _address(port), "filter_chains": [chain]}


def _tls(site: Site) -> dict[str, Any]:
    assert site.certificates is not None
    certificate = {
        "certificate_chain": {"filename": str(site.certificates.certificate)},
        "private_key": {"filename": str(site.certificates.key)},
    }
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]},
        },
    }


def _cluster(name: str, backends: list[Backend], is_grpc: bool) -> dict[str, Any]:
    """Idle connections are given up long before the app does so, which is 120 s for waitress."""
    protocol = "http2_protocol_options" if is_grpc else "http_protocol_options"
    ports = [backend.port for backend in backends if backend.port is not None]
    endpoints = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "name": name,
        "connect_timeout": "30s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "30s"},
                "explicit_http_config": {protocol: {}},
            }
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
