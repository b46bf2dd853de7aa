"""Debian's nginx: `split_clients` over a random key, and ingress-nginx's limiter."""

import os

from .environment import program
from .site import DEFAULT_BACKEND, NODE, Backend, Site

# The static pages serve runs of a million requests over one connection.
STATIC_REQUESTS_PER_CONNECTION = 1_000_000_000

TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


def command(site: Site) -> list[str]:
    """nginx as a proxy before the apps."""
    upstreams = "".join(
        f"    upstream {backend.label} {{ server 127.0.0.1:{backend.port}; keepalive 64; }}\n"
        for backend in site.positive()
    )
    zone = limit = ""
    if site.limit is not None:
        rate = site.limit.requests_per_minute
        zone = f"    limit_req_zone $binary_remote_addr zone=clients:1m rate={rate}r/m;\n    limit_req_status 503;\n"
        limit = f"            limit_req zone=clients burst={site.limit.burst} nodelay;\n"
    location = f"""\
{limit}            proxy_pass http://$backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
"""
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
    config = site.directory / "nginx.conf"
    config.write_text(f"""\
{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {site.directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 12288; }}
http {{
    access_log off;
    server_tokens off;
{temporary}{keepalive}{tls}{_split(site)}{definitions}
    server {{
{listen_default}        default_type text/plain;
        return 404 "{DEFAULT_BACKEND}";
    }}
    server {{
{listen}        server_name {site.host};
        location / {{
{location}        }}
    }}
}}
""")
    return [program("nginx"), "-e", "stderr", "-p", str(site.directory), "-c", str(config)]


def _split(site: Site) -> str:
    """The split to 0.01 %, as far as `split_clients` goes; the last backend takes the rest.

    `$request_id` is 16 random bytes, so that every request is an independent draw.
    """
    *first, last = site.positive()
    rows = "".join(f"        {_percentage(site, backend)}% {backend.label};\n" for backend in first)
    return f'    split_clients "$request_id" $backend {{\n{rows}        * {last.label};\n    }}\n'


def _percentage(site: Site, backend: Backend) -> str:
    return f"{100 * backend.weight / site.total_weight():.2f}"
