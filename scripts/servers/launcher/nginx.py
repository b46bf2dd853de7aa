"""Debian's nginx: `split_clients` over a random key, and ingress-nginx's limiter, canary rules and affinity."""

import os
import re
from dataclasses import replace

from .environment import SERVERS, program, python
from .site import DEFAULT_BACKEND, NODE, Backend, Site

# The static pages serve runs of a million requests over one connection.
STATIC_REQUESTS_PER_CONNECTION = 1_000_000_000

PROXIED = """\
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
"""

GRPC = """\
            grpc_pass grpc://$backend;
            grpc_set_header Host $host;
"""

# The affinity cookie of ingress-nginx.
AFFINITY = "INGRESSCOOKIE"

COMBINED = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
# What the formats are called that lbtest reads, and what they are; the second is ingress-nginx's own.
LOGGED = {
    "nginx": COMBINED + " $upstream_addr",
    "ingress-nginx": COMBINED
    + " $request_length $request_time [default-$backend-80] [] $upstream_addr $upstream_response_length"
    + " $upstream_response_time $upstream_status $request_id",
}

# `drawn` draws for every request; what the others say in an upstream of weighted servers, which deals in turn where it says
# nothing.
ALGORITHMS = {
    "drawn": "",
    "smooth": "",
    "least_conn": "least_conn; ",
    "random-two": "random two; ",
    "hash": "hash $remote_addr; ",
}

TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


def command(site: Site) -> list[str]:
    """nginx as a proxy before the apps."""
    upstreams = "".join(
        f"    upstream {backend.label} {{ server 127.0.0.1:{backend.port}; keepalive 64; }}\n"
        for backend in site.backends
    )
    weighted = "".join(f"server 127.0.0.1:{each.port} weight={each.weight}; " for each in site.positive())
    upstreams += f"    upstream all {{ {ALGORITHMS[site.balance]}{weighted}keepalive 64; }}\n"
    chosen = "$backend" if site.balance == "drawn" else "all"
    zone = limit = ""
    if site.limit is not None:
        rate = site.limit.requests_per_minute
        zone = f"    limit_req_zone $binary_remote_addr zone=clients:1m rate={rate}r/m;\n    limit_req_status 503;\n"
        limit = f"            limit_req zone=clients burst={site.limit.burst} nodelay;\n"
    passed = GRPC if site.is_grpc else f"            proxy_pass http://{chosen};\n{PROXIED}"
    location = limit + passed
    if site.rules.sticky:
        location += "            add_header Set-Cookie $new_affinity;\n"
    return _start(site, zone + upstreams, location, site.requests_per_connection)


def static_command(site: Site) -> list[str]:
    """nginx alone, which answers the pages itself: as fast as a server gets, for benchmarks."""
    pods = "".join(f"        {backend.label} {backend.pod};\n" for backend in site.positive())
    faults = "".join(
        f"            if ($backend = {backend.label}) {{ return {backend.fault}; }}\n"
        for backend in site.positive()
        if backend.fault is not None
    )
    page = (
        "<!DOCTYPE html>\\n<html>\\n<head><title>Challenge 6</title></head>\\n<body>\\n<h1>app:$backend</h1>\\n"
        f"<p>Node Name: {NODE}</p>\\n<p>Pod Name: $pod</p>\\n</body>\\n</html>\\n"
    ).replace("\\n", "\n")
    location = f"""\
{faults}            default_type text/html;
            return 200 "{page}";
"""
    requests = site.requests_per_connection or STATIC_REQUESTS_PER_CONNECTION
    return _start(site, f"    map $backend $pod {{\n{pods}    }}\n", location, requests)


def silent_command(site: Site, backend: Backend) -> list[str]:
    """An app that names nobody: its own access log, on standard output, says what it answered."""
    directory = site.directory / f"silent-{backend.label}"
    directory.mkdir()
    temporary = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in TEMPORARY)
    config = directory / "nginx.conf"
    config.write_text(f"""\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
    access_log /dev/stdout combined;
    keepalive_requests {STATIC_REQUESTS_PER_CONNECTION};
{temporary}    server {{
        listen 127.0.0.1:{backend.port};
        default_type text/plain;
        location = / {{ return {backend.fault or 200} "ok\n"; }}
        location / {{ return 404; }}
    }}
}}
""")
    return [program("nginx"), "-e", "stderr", "-p", str(directory), "-c", str(config)]


def gunicorn_command(site: Site, backend: Backend) -> list[str]:
    """The same as a Flask app behind gunicorn, with its own access log."""
    options = ["--bind", f"127.0.0.1:{backend.port}", "--worker-class", "gthread", "--threads", "8"]
    return [python(), "-Bm", "gunicorn", *options, "--access-logfile", "-", "--chdir", str(SERVERS / "apps"), "silent:app"]


def _start(site: Site, definitions: str, location: str, requests_per_connection: int | None) -> list[str]:
    listeners = [f"127.0.0.1:{site.plain_port}", f"127.0.0.1:{site.h2c_port} http2"]
    tls = ""
    if site.certificates is not None:
        listeners.append(f"127.0.0.1:{site.tls_port} ssl http2")
        tls = (
            f"    ssl_certificate {site.certificates.certificate};\n    ssl_certificate_key {site.certificates.key};\n"
        )
    listen = "".join(f"        listen {listener};\n" for listener in listeners)
    listen_default = "".join(f"        listen {listener} default_server;\n" for listener in listeners)
    keepalive = "" if requests_per_connection is None else f"    keepalive_requests {requests_per_connection};\n"
    temporary = "".join(f"    {name}_temp_path {site.directory}/{name};\n" for name in TEMPORARY)
    # Started as root, nginx would give its workers to a user who can't enter the private directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    files = site.access_logs(*LOGGED)
    formats = "".join(f"    log_format {name} '{LOGGED[name]}';\n" for name in files)
    logs = "".join(f"        access_log {file} {name};\n" for name, file in files.items())
    config = site.directory / "nginx.conf"
    config.write_text(f"""\
{user}daemon off;
worker_processes {site.workers};
worker_rlimit_nofile 16384;
pid {site.directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 12288; }}
http {{
    access_log off;
    server_tokens off;
{formats}{temporary}{keepalive}{tls}{_split(site.positive(), "weighted")}{_rules(site)}{_path_splits(site)}{definitions}
    server {{
{listen_default}        default_type text/plain;
        return 404 "{DEFAULT_BACKEND}";
    }}
    server {{
{listen}        server_name {site.host};
{logs}        location / {{
{location}        }}
{_path_locations(site)}    }}
}}
""")
    return [program("nginx"), "-e", "stderr", "-p", str(site.directory), "-c", str(config)]


def _rules(site: Site) -> str:
    """`$backend`: what the affinity cookie says, else the header, else the cookie, else the weights.

    A header or cookie leads to the second label with `always` and to the first with `never`.
    """
    rules, labels = site.rules, [backend.label for backend in site.backends]
    words = [f"always {labels[1]}", f"never {labels[0]}"] if len(labels) > 1 else []
    maps, last = "", "$weighted"
    for variable, source in [
        ("by_cookie", rules.cookie and f"$cookie_{rules.cookie}"),
        ("by_header", rules.header and "$http_" + rules.header.lower().replace("-", "_")),
    ]:
        if source:
            maps += _map(source, variable, [*words, f"default {last}"])
            last = f"${variable}"
    if rules.sticky:
        kept = [f"{label} {label}" for label in labels]
        maps += _map(f"$cookie_{AFFINITY}", "kept", [*kept, f"default {last}"])
        set_cookie = f'default "{AFFINITY}=$backend; Path=/; HttpOnly"'
        known = [f'{label} ""' for label in labels]
        maps += _map(f"$cookie_{AFFINITY}", "new_affinity", [*known, set_cookie])
        last = "$kept"
    # A map, since what a split draws is drawn once for a request wherever it is used.
    return maps + _map(last, "backend", [f"default {last}"])


def _map(source: str, variable: str, rows: list[str]) -> str:
    body = "".join(f"        {row};\n" for row in rows)
    return f"    map {source} ${variable} {{\n{body}    }}\n"


def _path_splits(site: Site) -> str:
    return "".join(
        _split(
            [replace(backend, weight=rule.weights.get(backend.label, 0)) for backend in site.backends],
            f"path_{number}",
        )
        for number, rule in enumerate(site.rules.paths)
    )


def _path_locations(site: Site) -> str:
    """The apps answer `/` alone, so that the path is rewritten, as ingress-nginx's rewrite-target does."""
    return "".join(
        f"""\
        location ~ ^{re.escape(rule.path)}(/|$) {{
            rewrite ^ / break;
            proxy_pass http://$path_{number};
{PROXIED}        }}
"""
        for number, rule in enumerate(site.rules.paths)
    )


def _split(backends: list[Backend], variable: str) -> str:
    """The split to 0.01 %, as far as `split_clients` goes; the last backend takes the rest.

    `$request_id` is 16 random bytes, so that every request is an independent draw.
    """
    positive = [backend for backend in backends if backend.weight > 0]
    total = sum(backend.weight for backend in positive)
    *first, last = positive
    rows = "".join(f"        {100 * backend.weight / total:.2f}% {backend.label};\n" for backend in first)
    return f'    split_clients "$request_id" ${variable} {{\n{rows}        * {last.label};\n    }}\n'
