"""Runs a program on a core of its own and tells what that took."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import BenchError


@dataclass(frozen=True)
class Cost:
    """What one run took: CPU time in user and system mode, time by the clock, the largest resident set."""

    responses: int
    user_seconds: float
    system_seconds: float
    wall_seconds: float
    peak_kib: int

    @property
    def cpu_microseconds(self) -> float:
        """User and system CPU time of a request, start and end of the program included."""
        return (self.user_seconds + self.system_seconds) / self.responses * 1e6

    @property
    def throughput(self) -> float:
        """Responses a second by the clock, start and end of the program included."""
        return self.responses / self.wall_seconds


def cores() -> tuple[int, int]:
    """A core for the server and another for the client."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise BenchError("server and client need a core each, and there is only one")
    return available[0], available[1]


def pin(pids: Iterable[int], core: int) -> None:
    """Binds processes and their children to a core."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})
            pin(map(int, (task / "children").read_text().split()), core)


def run(command: list[str], core: int, responses: Callable[[str], int]) -> Cost:
    """Runs a command to its end.

    GNU time stands between, since a process begins its life with the peak of the one that it was forked from.
    """
    with tempfile.NamedTemporaryFile("r") as peak, tempfile.TemporaryFile("w+") as output:
        wrapped = ["taskset", "-c", str(core), "time", "-f", "%M", "-o", peak.name, *command]
        start = time.monotonic()
        child = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, _, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        # It was waited for already.
        child.returncode = 0
        output.seek(0)
        said = output.read()
        count = responses(said)
        if count == 0:
            raise BenchError(f"{command[0]} got no response:\n{said[-2000:]}")
        # On a status other than 0, time says so in a line before.
        peak_kib = int(peak.read().split()[-1])
    return Cost(count, usage.ru_utime, usage.ru_stime, wall, peak_kib)
