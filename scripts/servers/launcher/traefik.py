"""Traefik, from the Python package that carries it, with a weighted service: requests are dealt out in turn."""

import json
from typing import Any

from .environment import packaged
from .site import Site

# Of the two it writes one at a time.
LOGGED = {"traefik": "common", "traefik-json": "json"}


def command(site: Site) -> list[str]:
    """Traefik before the apps; a host that is not routed gets its own 404."""
    routes = site.directory / "routes.yml"
    services: dict[str, Any] = {
        backend.label: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{backend.port}"}]}}
        for backend in site.backends
    }
    weights = [{"name": backend.label, "weight": backend.weight} for backend in site.positive()]
    services["apps"] = {"weighted": {"services": weights}}
    routers: dict[str, dict[str, Any]] = {
        "apps": {"rule": f"Host(`{site.host}`)", "service": "apps", "entryPoints": ["ingress"]},
        # Before the routes are there, everything is a 404.
        "ready": {"rule": "Host(`readiness.invalid`)", "service": "ping@internal", "entryPoints": ["ingress"]},
    }
    http: dict[str, Any] = {"routers": routers, "services": services}
    if site.in_flight is not None:
        http["middlewares"] = {"in-flight": {"inFlightReq": {"amount": site.in_flight}}}
        routers["apps"]["middlewares"] = ["in-flight"]
    # JSON is YAML.
    routes.write_text(json.dumps({"http": http}, indent=2))
    config: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"ingress": {"address": f"127.0.0.1:{site.plain_port}"}},
        "providers": {"file": {"filename": str(routes)}},
        "ping": {"manualRouting": True},
        "log": {"level": "WARN"},
    }
    if site.metrics_port is not None:
        config["entryPoints"]["metrics"] = {"address": f"127.0.0.1:{site.metrics_port}"}
        config["metrics"] = {"prometheus": {"entryPoint": "metrics"}}
    for name, file in site.access_logs(*LOGGED).items():
        config["accessLog"] = {"filePath": str(file), "format": LOGGED[name]}
    file = site.directory / "traefik.yml"
    file.write_text(json.dumps(config, indent=2))
    return [packaged("traefik"), f"--configFile={file}"]
