"""Debian's HAProxy with server weights."""

from . import LaunchError
from .environment import program
from .site import DEFAULT_BACKEND, Site

# HAProxy's plain `random` draws two servers and takes the less loaded one, which bends the split.
ALGORITHMS = {
    "roundrobin": "roundrobin",
    "static-rr": "static-rr",
    "random": "random(1)",
    "leastconn": "leastconn",
    "source": "source",
}
GREATEST_WEIGHT = 256
LOGGED = ("haproxy",)


def command(site: Site) -> list[str]:
    """HAProxy before the apps; its plain port speaks HTTP/2 by prior knowledge too."""
    for backend in site.backends:
        if backend.weight > GREATEST_WEIGHT:
            raise LaunchError(f"--weights {backend.label}={backend.weight}: HAProxy's weights end at {GREATEST_WEIGHT}")
    servers = "".join(
        f"    server {backend.label} 127.0.0.1:{backend.port} weight {backend.weight}\n" for backend in site.backends
    )
    tls = ""
    if site.certificates is not None:
        tls = f"    bind 127.0.0.1:{site.tls_port} ssl crt {site.certificates.combined} alpn h2,http/1.1\n"
    files = site.access_logs(*LOGGED)
    log = "    log stdout format raw local1 info\n    option httplog\n" if files else ""
    config = site.directory / "haproxy.cfg"
    config.write_text(f"""\
global
    maxconn 4000
    nbthread 1
    log stderr format raw local0 warning
defaults
    mode http
    timeout connect 30s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend ingress
{log}    bind 127.0.0.1:{site.plain_port}
{tls}    use_backend apps if {{ hdr(host),field(1,:) -i {site.host} }}
    default_backend unknown
backend apps
    balance {ALGORITHMS[site.balance]}
{servers}backend unknown
    http-request return status 404 content-type text/plain string "{DEFAULT_BACKEND}"
""")
    command = [program("haproxy"), "-db", "-f", str(config)]
    for file in files.values():
        # Its notices go to standard error, and stay apart.
        return ["sh", "-c", 'exec "$@" > "$0"', str(file), *command]
    return command
