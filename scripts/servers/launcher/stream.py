"""Proxies of TCP connections: nginx's `stream` with `split_clients`, and HAProxy's `mode tcp` with weights.

What the apps secure with TLS passes through.
"""

import os

from .environment import program
from .site import Site

STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def nginx_command(site: Site) -> list[str]:
    """A connection draws its backend by its time and its client's port."""
    *first, last = site.positive()
    total = sum(backend.weight for backend in site.positive())
    rows = "".join(f"        {100 * backend.weight / total:.2f}% {backend.label};\n" for backend in first)
    upstreams = "".join(
        f"    upstream {backend.label} {{ server 127.0.0.1:{backend.port}; }}\n" for backend in site.backends
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = site.directory / "nginx.conf"
    config.write_text(f"""\
load_module {STREAM_MODULE};
{user}daemon off;
worker_processes 1;
pid {site.directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 12288; }}
stream {{
    split_clients "$msec$remote_port$connection" $backend {{
{rows}        * {last.label};
    }}
{upstreams}    server {{
        listen 127.0.0.1:{site.plain_port};
        proxy_pass $backend;
    }}
}}
""")
    return [program("nginx"), "-e", "stderr", "-p", str(site.directory), "-c", str(config)]


def haproxy_command(site: Site) -> list[str]:
    servers = "".join(
        f"    server {backend.label} 127.0.0.1:{backend.port} weight {backend.weight}\n" for backend in site.backends
    )
    config = site.directory / "haproxy.cfg"
    config.write_text(f"""\
global
    maxconn 4000
    nbthread 1
    log stderr format raw local0 emerg
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
listen service
    bind 127.0.0.1:{site.plain_port}
    balance roundrobin
{servers}""")
    return [program("haproxy"), "-db", "-f", str(config)]
