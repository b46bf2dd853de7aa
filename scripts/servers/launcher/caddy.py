"""Caddy, from the Python package that carries it, with weights: requests are dealt out in turn."""

import json
from typing import Any

from .environment import packaged
from .site import DEFAULT_BACKEND, Site

LOGGED = ("caddy",)


def command(site: Site) -> list[str]:
    """Caddy before the apps."""
    backends = site.positive()
    balance = {"policy": "weighted_round_robin", "weights": [backend.weight for backend in backends]}
    # Its log does not name the upstream by itself.
    append = {"handler": "log_append", "key": "upstream", "value": "{http.reverse_proxy.upstream.hostport}"}
    proxy = {
        "handler": "reverse_proxy",
        "load_balancing": {"selection_policy": balance},
        "upstreams": [{"dial": f"127.0.0.1:{backend.port}"} for backend in backends],
    }
    unknown = {"handler": "static_response", "status_code": 404, "body": DEFAULT_BACKEND}
    ingress: dict[str, Any] = {
        "listen": [f"127.0.0.1:{site.plain_port}"],
        "protocols": ["h1", "h2", "h2c"],
        "automatic_https": {"disable": True},
        "routes": [{"match": [{"host": [site.host]}], "handle": [append, proxy]}, {"handle": [unknown]}],
    }
    http: dict[str, Any] = {"servers": {"ingress": ingress}}
    config: dict[str, Any] = {"admin": {"disabled": True, "config": {"persist": False}}, "apps": {"http": http}}
    if site.metrics_port is not None:
        http["metrics"] = {}
        http["servers"]["metrics"] = {
            "listen": [f"127.0.0.1:{site.metrics_port}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [{"handler": "metrics"}]}],
        }
    for file in site.access_logs(*LOGGED).values():
        ingress["logs"] = {"default_logger_name": "ingress"}
        log = {"writer": {"output": "file", "filename": str(file)}, "encoder": {"format": "json"}}
        access = {**log, "include": ["http.log.access.ingress"]}
        config["logging"] = {"logs": {"access": access, "default": {"exclude": ["http.log.access.ingress"]}}}
    file = site.directory / "caddy.json"
    file.write_text(json.dumps(config, indent=2))
    home = [f"{name}={site.directory}" for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")]
    return ["env", *home, packaged("caddy"), "run", "--config", str(file)]
