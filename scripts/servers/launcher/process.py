"""One server process: started, awaited, stopped by its process id."""

import ctypes
import http.client
import os
import signal
import subprocess
import time
from pathlib import Path

from . import LaunchError

STOP_SECONDS = 5.0
POLL_SECONDS = 0.01
LOG_LINES = 25
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Has the kernel stop the server when the launcher itself is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A server in a session of its own, so that a terminal's Ctrl-C reaches the launcher alone."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def exited(self) -> bool:
        return self._child.poll() is not None

    def log_tail(self) -> str:
        """The last lines that the server printed, indented."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it printed nothing)"

    def wait_ready(self, port: int, status: int | None, deadline: float) -> None:
        """Polls until a request for an unknown host and path is answered with `status`; without one, until
        a connection is taken.

        Unknown, so that it takes nothing from a limiter and reaches no backend of a proxy.
        """
        answer = "nothing listens"
        while time.monotonic() < deadline:
            if self.exited():
                raise LaunchError(f"{self.name} ended with status {self._child.returncode}:\n{self.log_tail()}")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
            try:
                if status is None:
                    connection.connect()
                    return
                connection.request("GET", "/readiness", headers={"Host": "readiness.invalid", "Connection": "close"})
                got = connection.getresponse().status
                if got == status:
                    return
                answer = f"it answers {got}"
            except (OSError, http.client.HTTPException) as error:
                answer = str(error)
            finally:
                connection.close()
            time.sleep(POLL_SECONDS)
        raise LaunchError(f"{self.name} is not ready on 127.0.0.1:{port} ({answer}):\n{self.log_tail()}")

    def stop(self) -> None:
        """SIGTERM, and after five seconds SIGKILL to what is left of its process group."""
        if not self.exited():
            self._child.terminate()
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._child.wait()
