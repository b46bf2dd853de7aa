"""What was asked for on the command line, checked."""

import argparse
import re
from dataclasses import dataclass

from . import caddy, envoy, haproxy, nginx, traefik
from .site import EVERY, Limit, PathRule, Rules

DESCRIPTION = """\
Starts a real ingress on free ports of 127.0.0.1 with the challenge's apps behind it, waits until it
answers, runs COMMAND and stops everything again. Without a COMMAND it prints the address and stays
until Ctrl-C or SIGTERM. The exit status is COMMAND's.
"""

KINDS = """\
kinds:
  nginx     Debian's nginx, split_clients over a random key (or in turn: --balance smooth), before Flask apps
  static    nginx alone answers the pages itself: for benchmarks
  haproxy   Debian's HAProxy with server weights, before the same apps
  envoy     Envoy with weighted clusters, before the same apps
  traefik   Traefik with a weighted service, before the same apps
  caddy     Caddy with weights, before the same apps

COMMAND finds in its environment:
  LBTEST_SERVER_URL       http://127.0.0.1:PORT/
  LBTEST_SERVER_H2C_URL   the same over HTTP/2 without TLS (prior knowledge)
  LBTEST_SERVER_TLS_URL   https://127.0.0.1:PORT/ with --tls; ALPN offers h2 and http/1.1
  LBTEST_SERVER_CA        with --tls, the authority's certificate
  LBTEST_SERVER_HOST      the host name that is routed; any other gets 404 from the default backend
  LBTEST_SERVER_JSON      a file with all of this, the pods and the process ids

examples:
  scripts/servers/run nginx --weights v1=70,v2=30
  scripts/servers/run nginx -- sh -c 'lbtest "$LBTEST_SERVER_URL" --host edu.challenger-03 --expect v1=70,v2=30'
  scripts/servers/run nginx --limit-rpm 175 --burst-multiplier 1 --fault v2=503 -- COMMAND
  scripts/servers/run haproxy --balance random --tls -- COMMAND
"""

# Which kinds know what to do with an option that not all of them have.
ONLY = {
    "--limit-rpm": {"nginx"},
    "--in-flight": {"traefik"},
    "--app-limit": {"nginx", "haproxy", "envoy", "traefik", "caddy"},
    "--balance": {"nginx", "haproxy", "envoy"},
    "--workers": {"nginx"},
    "--keepalive-requests": {"nginx", "static", "envoy"},
    "--route-header": {"nginx", "haproxy"},
    "--route-cookie": {"nginx", "haproxy"},
    "--route-path": {"nginx", "haproxy"},
    "--sticky": {"nginx"},
    "--tcp": {"nginx", "haproxy"},
    "--grpc": {"nginx", "envoy"},
    "--access-log": {"nginx", "haproxy", "envoy", "traefik", "caddy"},
    "--metrics": {"haproxy", "envoy", "traefik", "caddy"},
    "--silent": {"nginx", "haproxy", "envoy"},
    "--tls": {"nginx", "static", "haproxy", "envoy"},
}


@dataclass(frozen=True)
class Options:
    kind: str
    weights: dict[str, int]
    host: str
    faults: dict[str, int]
    limit: Limit | None
    in_flight: int | None
    app_limit: str | None
    balance: str
    workers: int
    requests_per_connection: int | None
    rules: Rules
    tls: bool
    tcp: bool
    grpc: str | None
    ready_seconds: float
    access_log: str | None
    metrics: bool
    silent: str | None
    attached: bool
    command: list[str]


def parse(arguments: list[str]) -> Options:
    """The options of one launch; what is wrong with them ends the program with status 2."""
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="scripts/servers/run",
        usage="scripts/servers/run KIND [OPTIONS] [-- COMMAND...]",
        description=DESCRIPTION,
        epilog=KINDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("kind", metavar="KIND", choices=["nginx", "static", "haproxy", "envoy", "traefik", "caddy"], help="see below")
    add = parser.add_argument
    add("--weights", type=_weights, default="v1=70,v2=30", metavar="LABEL=N,...", help="the split (v1=70,v2=30)")
    add("--host", default="edu.challenger-03", help="the host name that is routed (edu.challenger-03)")
    add(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="LABEL=STATUS",
        help="this backend answers every request with STATUS; repeatable",
    )
    add("--limit-rpm", type=_positive, metavar="R", help="nginx: ingress-nginx's limiter, R requests a minute, 503")
    add("--burst-multiplier", type=_positive, metavar="M", help="with --limit-rpm: a burst of R·M requests (5)")
    add("--in-flight", type=_positive, metavar="N", help="traefik: inFlightReq, at most N requests at once, 429")
    add("--app-limit", metavar="LIMIT", help="Flask-Limiter's limit of v2, such as '100 per minute': 429")
    add("--balance", help="the algorithm; nginx: drawn, smooth, least_conn, random-two or hash (drawn); haproxy: its own name for it (roundrobin); envoy: clusters, or its own name for that of one cluster (clusters)")
    add("--workers", type=_positive, metavar="N", help="nginx: processes, each of which deals in turn by itself (1)")
    add(
        "--keepalive-requests",
        type=_positive,
        metavar="K",
        help="nginx, static, envoy: the connection is closed after K requests",
    )
    add(
        "--route-header",
        type=_token,
        metavar="NAME",
        help="nginx, haproxy: a header that leads to the second label with 'always', to the first with 'never'",
    )
    add("--route-cookie", type=_token, metavar="NAME", help="nginx, haproxy: a cookie that does, where the header says nothing")
    add(
        "--route-path",
        type=_path_rule,
        action="append",
        metavar="PATH:LABEL=N,...",
        help="nginx, haproxy: a path with a split of its own; repeatable",
    )
    # None and not False without it, as the other options that not all kinds have.
    add("--sticky", action="store_true", default=None, help="nginx: a cookie keeps a client on its backend")
    add(
        "--tcp",
        action="store_true",
        default=None,
        help="nginx, haproxy: TCP connections in place of HTTP, each greeted by its pod; with --tls the apps secure them",
    )
    add(
        "--grpc",
        nargs="?",
        const="health",
        choices=["health", "bare"],
        help="nginx, envoy: gRPC servers in place of the apps, with a health service or without; a fault is 503, UNAVAILABLE",
    )
    formats = [*nginx.LOGGED, *haproxy.LOGGED, *envoy.LOGGED, *traefik.LOGGED, *caddy.LOGGED, EVERY]
    add("--access-log", nargs="?", const=EVERY, choices=formats, help="log requests, in a format or in every one that the server has")
    add("--metrics", action="store_true", default=None, help="show the server's counters, in Prometheus' format")
    add(
        "--silent",
        nargs="?",
        const="nginx",
        choices=["nginx", "gunicorn"],
        help="apps that name nobody, and log to LABEL.log of the directory; gunicorn: Flask behind it",
    )
    add("--tls", action="store_true", default=None, help="listen with TLS too, HTTP/2 and HTTP/1.1, under an authority of its own")
    add("--ready-timeout", type=float, default=600.0, metavar="SECONDS", help="give up after this long (600)")
    add(
        "--attached",
        action="store_true",
        help="for programs: print one line of JSON when ready, stop when standard input closes",
    )
    found = parser.parse_args(arguments)

    for option, kinds in ONLY.items():
        if getattr(found, option[2:].replace("-", "_")) is not None and found.kind not in kinds:
            parser.error(f"{option} is for {', '.join(sorted(kinds))}, not for {found.kind}")
    if found.burst_multiplier is not None and found.limit_rpm is None:
        parser.error("--burst-multiplier needs --limit-rpm")
    algorithms = {"nginx": nginx.ALGORITHMS, "haproxy": haproxy.ALGORITHMS, "envoy": envoy.ALGORITHMS}.get(found.kind, ())
    if found.balance is not None and found.balance not in algorithms:
        parser.error(f"--balance {found.balance}: {found.kind} has {', '.join(algorithms)}")
    if found.kind == "nginx" and found.balance not in (None, "drawn") and (found.grpc or found.sticky or found.route_header or found.route_cookie):
        parser.error(f"--balance {found.balance} asks neither cookies nor headers, and speaks no gRPC")
    if found.kind == "traefik" and found.access_log == EVERY:
        parser.error(f"--access-log: traefik logs in one format at a time, {' or '.join(traefik.LOGGED)}")
    faults = dict(found.fault)
    for label in faults.keys() - found.weights.keys():
        parser.error(f"--fault {label}: no such label in --weights")
    if found.grpc and set(faults.values()) - {503}:
        parser.error("--grpc knows the fault 503 alone, which is UNAVAILABLE")
    if found.grpc and found.tcp:
        parser.error("--grpc and --tcp exclude each other")
    if found.attached and command:
        parser.error("--attached takes no COMMAND")
    if re.fullmatch(r"[A-Za-z0-9.-]+", found.host) is None:
        parser.error(f"--host {found.host!r} is no host name")
    rules = Rules(found.route_header, found.route_cookie, found.route_path or [], bool(found.sticky))
    if (rules.header or rules.cookie) and len(found.weights) < 2:
        parser.error("--route-header and --route-cookie need a second label in --weights")
    for rule in rules.paths:
        for label in rule.weights.keys() - found.weights.keys():
            parser.error(f"--route-path {rule.path}: no label {label} in --weights")
    limit = None
    if found.limit_rpm is not None:
        limit = Limit(found.limit_rpm, found.burst_multiplier or 5)
    return Options(
        kind=found.kind,
        weights=found.weights,
        host=found.host,
        faults=faults,
        limit=limit,
        in_flight=found.in_flight,
        app_limit=found.app_limit,
        balance=found.balance or next(iter(algorithms), ""),
        workers=found.workers or 1,
        requests_per_connection=found.keepalive_requests,
        rules=rules,
        tls=bool(found.tls),
        tcp=bool(found.tcp),
        grpc=found.grpc,
        ready_seconds=found.ready_timeout,
        access_log=found.access_log,
        metrics=bool(found.metrics),
        silent=found.silent,
        attached=found.attached,
        command=command,
    )


def _weights(text: str) -> dict[str, int]:
    weights: dict[str, int] = {}
    for part in text.split(","):
        matched = re.fullmatch(r"([a-z][a-z0-9-]*)=([0-9]+)", part)
        if matched is None or matched[1] in weights:
            raise argparse.ArgumentTypeError(f"{part!r} is not LABEL=N with a label of its own")
        weights[matched[1]] = int(matched[2])
    if not any(weights.values()):
        raise argparse.ArgumentTypeError("no weight is positive")
    return weights


def _token(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]+", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of letters, digits and '-'")
    return text


def _path_rule(text: str) -> PathRule:
    path, _, weights = text.partition(":")
    if re.fullmatch(r"(/[A-Za-z0-9._-]+)+", path) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATH:LABEL=N,... with a PATH such as /beta")
    return PathRule(path, _weights(weights))


def _fault(text: str) -> tuple[str, int]:
    matched = re.fullmatch(r"([a-z][a-z0-9-]*)=([45][0-9][0-9])", text)
    if matched is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=STATUS with a status of 400 to 599")
    return matched[1], int(matched[2])


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)
