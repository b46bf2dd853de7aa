"""Debian's HAProxy with server weights, and nginx's rules of headers, cookies and paths."""

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
    chosen, routed = _rules(site)
    tls = ""
    if site.certificates is not None:
        tls = f"    bind 127.0.0.1:{site.tls_port} ssl crt {site.certificates.combined} alpn h2,http/1.1\n"
    metrics = ""
    if site.metrics_port is not None:
        metrics = f"frontend metrics\n    bind 127.0.0.1:{site.metrics_port}\n"
        metrics += "    http-request use-service prometheus-exporter if { path /metrics }\n"
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
{metrics}frontend ingress
{log}    bind 127.0.0.1:{site.plain_port}
{tls}    acl routed hdr(host),field(1,:) -i {site.host}
{chosen}    use_backend apps if routed
    default_backend unknown
backend apps
    balance {ALGORITHMS[site.balance]}
{_servers(site, {backend.label: backend.weight for backend in site.backends})}{routed}backend unknown
    http-request return status 404 content-type text/plain string "{DEFAULT_BACKEND}"
""")
    command = [program("haproxy"), "-db", "-f", str(config)]
    for file in files.values():
        # Its notices go to standard error, and stay apart.
        return ["sh", "-c", 'exec "$@" > "$0"', str(file), *command]
    return command


def _servers(site: Site, weights: dict[str, int]) -> str:
    return "".join(
        f"    server {backend.label} 127.0.0.1:{backend.port} weight {weights.get(backend.label, 0)}\n"
        for backend in site.backends
    )


def _rules(site: Site) -> tuple[str, str]:
    """What chooses a backend before the weights do, paths first, and these backends.

    The apps answer `/` alone, so that a path is rewritten, as nginx does here too.
    """
    chosen = routed = ""
    for number, rule in enumerate(site.rules.paths):
        chosen += f"    use_backend path_{number} if routed {{ path {rule.path} }}\n"
        chosen += f"    use_backend path_{number} if routed {{ path_beg {rule.path}/ }}\n"
        routed += f"backend path_{number}\n    balance {ALGORITHMS[site.balance]}\n    http-request set-path /\n"
        routed += _servers(site, rule.weights)
    header, cookie = site.rules.header, site.rules.cookie
    sources = [header and f"req.hdr({header})", cookie and f"req.cook({cookie})"]
    # A header or cookie leads to the second label with `always` and to the first with `never`.
    words = dict(zip(("never", "always"), (backend.label for backend in site.backends), strict=False))
    for source in filter(None, sources):
        for word, label in words.items():
            chosen += f"    use_backend only_{label} if routed {{ {source} {word} }}\n"
    if any(sources):
        routed += "".join(f"backend only_{label}\n{_servers(site, {label: 1})}" for label in words.values())
    return chosen, routed
