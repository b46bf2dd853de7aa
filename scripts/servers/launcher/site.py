"""What the servers of one launch share: backends, ports, host name, files."""

from dataclasses import dataclass
from pathlib import Path

from .certificates import Certificates

NODE = "worker-1"
PODS = {"v1": "challenge-app-6f79ff6b8d-fmzvc", "v2": "challenge-app-v2-6b8464cddd-nnjmj"}
# Of `--access-log`: all formats that the server has.
EVERY = "every"
DEFAULT_BACKEND = "default backend - 404"


def pod_name(label: str) -> str:
    """The pod behind a label, named as Kubernetes names the pods of a Deployment."""
    return PODS.get(label, f"challenge-app-{label}-7d9c5b8f64-x2kqz")


@dataclass(frozen=True)
class Backend:
    """One label of the split: its weight, and the loopback port of its app (none for `static`)."""

    label: str
    weight: int
    pod: str
    port: int | None
    fault: int | None


@dataclass(frozen=True)
class Limit:
    """ingress-nginx's limit-rpm with its limit-burst-multiplier."""

    requests_per_minute: int
    burst_multiplier: int

    @property
    def burst(self) -> int:
        return self.requests_per_minute * self.burst_multiplier


@dataclass(frozen=True)
class PathRule:
    """A path, and what lies below it, with a split of its own."""

    path: str
    weights: dict[str, int]


@dataclass(frozen=True)
class Rules:
    """What stands above the weights, in ingress-nginx's order: an affinity cookie, a header, a cookie. A path is
    a rule of its own, to which the others do not apply.
    """

    header: str | None
    cookie: str | None
    paths: list[PathRule]
    sticky: bool


@dataclass(frozen=True)
class Site:
    """All that a proxy's configuration is written from. Every listener is on 127.0.0.1.

    `h2c_port` speaks HTTP/2 without TLS (prior knowledge) and may be the plain port;
    `tls_port` is there when `certificates` are.
    """

    directory: Path
    host: str
    backends: list[Backend]
    plain_port: int
    h2c_port: int
    tls_port: int | None
    certificates: Certificates | None
    balance: str
    workers: int
    limit: Limit | None
    in_flight: int | None
    requests_per_connection: int | None
    rules: Rules
    is_grpc: bool
    metrics_port: int | None
    access_log: str | None

    def access_logs(self, *formats: str) -> dict[str, Path]:
        """The files that requests are logged to, by the format that lbtest reads them with."""
        wanted = [name for name in formats if self.access_log in (name, EVERY)]
        return {name: self.directory / f"{name}.log" for name in wanted}

    def positive(self) -> list[Backend]:
        """The backends that get traffic; there is at least one."""
        return [backend for backend in self.backends if backend.weight > 0]
