"""The life of a launch: apps, then the proxy, then whatever uses them, then nothing."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from . import caddy, envoy, haproxy, nginx, stream, traefik
from .certificates import create, create_for
from .environment import SERVERS, python
from .options import Options
from .ports import Ports
from .process import Process
from .site import NODE, Backend, Site, pod_name

APPS = SERVERS / "apps"
PROXIES = {
    "nginx": nginx.command,
    "static": nginx.static_command,
    "haproxy": haproxy.command,
    "envoy": envoy.command,
    "traefik": traefik.command,
    "caddy": caddy.command,
}
# The formats in which each logs requests.
LOGGED = {kind.__name__.rpartition(".")[2]: kind.LOGGED for kind in (nginx, haproxy, envoy, traefik, caddy)}
# Where each shows its counters.
METRICS = {"haproxy": "/metrics", "envoy": "/stats/prometheus", "traefik": "/metrics", "caddy": "/metrics"}
SILENT = {"nginx": nginx.silent_command, "gunicorn": nginx.gunicorn_command}
TCP_PROXIES = {"nginx": stream.nginx_command, "haproxy": stream.haproxy_command}


class Launch:
    """A context manager: inside it the servers answer, after it nothing of them is left."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._temporary = tempfile.TemporaryDirectory(prefix="lbtest-server-")
        self._directory = Path(self._temporary.name)
        self._ports = Ports()
        self._processes: list[Process] = []

    def __enter__(self) -> "Launch":
        try:
            self._site = self._plan()
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def description(self) -> dict[str, Any]:
        """Everything that a user of the servers needs to know."""
        site = self._site
        logged = LOGGED.get(self._options.kind, ())
        return {
            "kind": self._options.kind,
            "url": f"http://127.0.0.1:{site.plain_port}/",
            "h2c_url": f"http://127.0.0.1:{site.h2c_port}/",
            "tcp_address": f"127.0.0.1:{site.plain_port}",
            "tls_url": None if site.tls_port is None else f"https://127.0.0.1:{site.tls_port}/",
            "ca_file": None if site.certificates is None else str(site.certificates.authority),
            "host": site.host,
            "directory": str(site.directory),
            "weights": {backend.label: backend.weight for backend in site.backends},
            "ports": {backend.label: backend.port for backend in site.backends},
            "access_logs": {name: str(file) for name, file in site.access_logs(*logged).items()},
            "metrics_url": site.metrics_port and f"http://127.0.0.1:{site.metrics_port}{METRICS[self._options.kind]}",
            "pods": {backend.label: backend.pod for backend in site.backends},
            "pids": {process.name: process.pid for process in self._processes},
        }

    def environment(self) -> dict[str, str]:
        """The variables of a command that uses the servers."""
        description = self.description()
        path = self._directory / "server.json"
        path.write_text(json.dumps(description, indent=2))
        variables = {
            "LBTEST_SERVER_URL": description["url"],
            "LBTEST_SERVER_H2C_URL": description["h2c_url"],
            "LBTEST_SERVER_TLS_URL": description["tls_url"],
            "LBTEST_SERVER_CA": description["ca_file"],
            "LBTEST_SERVER_HOST": description["host"],
            "LBTEST_SERVER_JSON": str(path),
        }
        return {**os.environ, **{name: value for name, value in variables.items() if value is not None}}

    def exited(self) -> list[Process]:
        """The servers that ended by themselves."""
        return [process for process in self._processes if process.exited()]

    def _plan(self) -> Site:
        options = self._options
        has_apps = options.kind != "static"
        backends = [
            Backend(
                label=label,
                weight=weight,
                pod=pod_name(label),
                port=self._ports.take() if has_apps else None,
                fault=options.faults.get(label),
            )
            for label, weight in options.weights.items()
        ]
        plain_port = self._ports.take()
        # nginx 1.22, Debian 12's, has no listener for both HTTP/1.1 and HTTP/2 in the clear.
        h2c_port = self._ports.take() if options.kind in ("nginx", "static") else plain_port
        return Site(
            directory=self._directory,
            host=options.host,
            backends=backends,
            plain_port=plain_port,
            h2c_port=h2c_port,
            tls_port=self._ports.take() if options.tls else None,
            certificates=create(self._directory, options.host) if options.tls else None,
            balance=options.balance,
            workers=options.workers,
            limit=options.limit,
            in_flight=options.in_flight,
            requests_per_connection=options.requests_per_connection,
            rules=options.rules,
            is_grpc=options.grpc is not None,
            metrics_port=self._ports.take() if options.metrics else None,
            access_log=options.access_log,
        )

    def _start(self) -> None:
        apps = [backend for backend in self._site.backends if backend.port is not None]
        interpreter = python() if apps else ""
        proxies = TCP_PROXIES if self._options.tcp else PROXIES
        command = proxies[self._options.kind](self._site)
        unknown = None if self._options.tcp else 404
        deadline = time.monotonic() + self._options.ready_seconds
        started = [(self._start_app(interpreter, backend), backend) for backend in apps]
        for process, backend in started:
            assert backend.port is not None
            # Over HTTP/1.1 a gRPC server says nothing.
            status = None if self._options.grpc else backend.fault or unknown
            process.wait_ready(backend.port, status, deadline)
        proxy = Process(self._options.kind, command, self._directory / "proxy.log")
        self._processes.append(proxy)
        # Traefik answers a route of its own for that, and 404 before it has any.
        ready = 200 if self._options.kind == "traefik" else unknown
        proxy.wait_ready(self._site.plain_port, ready, deadline)

    def _start_app(self, interpreter: str, backend: Backend) -> Process:
        """v1 is the app without a limiter, every other label the one with it."""
        environment = {"PORT": str(backend.port), "NODE_NAME": NODE, "POD_NAME": backend.pod}
        program = "v1.py" if backend.label == "v1" else "v2.py"
        if self._options.tcp:
            program = "tcp.py"
            if self._site.certificates is not None:
                certificate = create_for(self._directory, self._site.host, backend.pod)
                environment["CERTIFICATE"] = str(certificate)
        elif self._options.grpc is not None:
            program = "calls.py"
            if self._options.grpc == "health":
                environment["HEALTH"] = "yes"
            if backend.fault is not None:
                environment["CODE"] = "UNAVAILABLE"
        elif backend.fault is not None:
            program, environment["STATUS"] = "fault.py", str(backend.fault)
        elif self._options.app_limit is not None:
            environment["RATE_LIMIT"] = self._options.app_limit
        command = [interpreter, "-Bu", str(APPS / program)]
        if self._options.silent is not None:
            command = SILENT[self._options.silent](self._site, backend)
        process = Process(backend.label, command, self._directory / f"{backend.label}.log", environment)
        self._processes.append(process)
        return process

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        self._ports.release()
        self._temporary.cleanup()
