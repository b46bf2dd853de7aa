"""The programs: how each is told to put a scenario on the server, and how many responses it says came."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from . import BenchError
from .scenarios import Scenario

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "target" / "tools"
RELEASE = ROOT / "target" / "dist"
MINUTES = "30m"


@dataclass(frozen=True)
class Server:
    """Where nginx listens."""

    plain: str
    tls: str
    host: str
    authority: str

    def url(self, scenario: Scenario) -> str:
        return self.tls if scenario.is_tls else self.plain


@dataclass(frozen=True)
class Peer:
    """A program, its command for a scenario (`None`: it can't), and the number of responses in its output."""

    name: str
    program: str
    command: Callable[[str, Scenario, Server], list[str] | None]
    responses: Callable[[str], int]
    # Whether it tells who answered, as lbtest does; the others count bytes.
    does_same_work: bool = False

    def path(self) -> str | None:
        own = {"lbtest": RELEASE / "lbtest", "floor": RELEASE / "examples" / "floor", "oha": TOOLS / "bin" / "oha"}
        if self.name in own and own[self.name].is_file():
            return str(own[self.name])
        return None if self.name in ("lbtest", "floor") else shutil.which(self.program)


def build() -> None:
    """lbtest and the floor, optimised."""
    command = ["cargo", "build", "--locked", "--profile", "dist", "--bin", "lbtest", "--example", "floor"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise BenchError("cargo could not build lbtest and the floor")


def install_oha() -> None:
    """oha, from its registry, into target/tools; left alone where it is there."""
    if OHA.path() is None:
        command = ["cargo", "install", "oha", "--locked", "--quiet", "--root", str(TOOLS)]
        subprocess.run(command, cwd=ROOT, check=False)


def _found(pattern: str) -> Callable[[str], int]:
    """The sum of the numbers that the pattern's group finds."""
    return lambda output: sum(int(number) for number in re.findall(pattern, output))


def _lbtest(program: str, scenario: Scenario, server: Server) -> list[str]:
    command = [program, server.url(scenario), "--host", server.host, "--expect", "v1=70,v2=30", "--no-progress"]
    command += ["-n", str(scenario.requests), "-c", str(scenario.connections), "--threads", "1"]
    command += ["--max-duration", MINUTES]
    if not scenario.is_fresh:
        command.append("--keep-alive")
    if scenario.is_tls:
        command += ["--cacert", server.authority]
    if scenario.protocol == "h2":
        command.append("--http2")
    return command


def _floor(program: str, scenario: Scenario, server: Server) -> list[str] | None:
    if scenario.protocol != "http1":
        return None
    address = urlsplit(server.plain).netloc
    command = [program, address, server.host, str(scenario.connections), str(scenario.requests)]
    return command + ["--fresh"] * scenario.is_fresh


def _wrk(program: str, scenario: Scenario, server: Server) -> list[str] | None:
    if scenario.protocol == "h2" or scenario.is_fresh:
        return None
    return [
        *(program, "-t1", f"-c{scenario.connections}", f"-d{scenario.seconds}s"),
        *("-H", f"Host: {server.host}", server.url(scenario)),
    ]


def _wrk_lua(program: str, scenario: Scenario, server: Server) -> list[str] | None:
    command = _wrk(program, scenario, server)
    return command and [*command[:-1], "-s", str(ROOT / "scripts" / "bench" / "pods.lua"), command[-1]]


def _oha(program: str, scenario: Scenario, server: Server) -> list[str]:
    command = [program, "--no-tui", "-n", str(scenario.requests), "-c", str(scenario.connections)]
    command += ["--worker-threads", "1", "-r", "0"]
    if scenario.is_fresh:
        command.append("--disable-keepalive")
    if scenario.is_tls:
        command.append("--insecure")
    if scenario.protocol == "h2":
        return [*command, "--http2", "--host", server.host, server.url(scenario)]
    return [*command, "-H", f"Host: {server.host}", server.url(scenario)]


def _hey(program: str, scenario: Scenario, server: Server) -> list[str]:
    command = [program, "-cpus", "1", "-n", str(scenario.requests), "-c", str(scenario.connections)]
    command += ["-host", server.host, "-disable-redirects"]
    if scenario.is_fresh:
        command.append("-disable-keepalive")
    if scenario.protocol == "h2":
        command.append("-h2")
    return [*command, server.url(scenario)]


def _h2load(program: str, scenario: Scenario, server: Server) -> list[str] | None:
    if scenario.is_fresh:
        return None
    at = urlsplit(server.url(scenario))
    command = [program, "-n", str(scenario.requests), "-c", str(scenario.connections), "-t", "1"]
    if scenario.protocol != "h2":
        command.append("--h1")
    return [*command, f"--connect-to={at.netloc}", f"{at.scheme}://{server.host}:{at.port}/"]


def _ab(program: str, scenario: Scenario, server: Server) -> list[str] | None:
    if scenario.protocol == "h2":
        return None
    command = [program, "-q", "-n", str(scenario.requests), "-c", str(scenario.connections), "-r", "-s", "60"]
    if not scenario.is_fresh:
        command.append("-k")
    if scenario.is_tls:
        command += ["-f", "TLS1.3"]
    # The body's length differs between the two pods, which ab counts as a failure and receives all the same.
    return [*command, "-l", "-H", f"Host: {server.host}", server.url(scenario)]


LBTEST = Peer("lbtest", "lbtest", _lbtest, _found(r"(\d+) attributed"))
OHA = Peer("oha", "oha", _oha, _found(r"\[200\] (\d+) responses"))
PEERS = [
    Peer("floor", "floor", _floor, _found(r"(\d+) responses")),
    Peer("wrk", "wrk", _wrk, _found(r"(\d+) requests in")),
    Peer("wrk+lua", "wrk", _wrk_lua, _found(r"(\d+) requests in"), does_same_work=True),
    OHA,
    Peer("hey", "hey", _hey, _found(r"\[200\]\s+(\d+) responses")),
    Peer("h2load", "h2load", _h2load, _found(r"status codes: (\d+) 2xx")),
    Peer("ab", "ab", _ab, _found(r"Complete requests:\s+(\d+)")),
]
