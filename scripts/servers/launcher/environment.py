"""The Python environment of the apps, in `.venv` of the checkout, and the programs of Debian."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import LaunchError

SERVERS = Path(__file__).resolve().parent.parent
CHECKOUT = SERVERS.parent.parent
REQUIREMENTS = SERVERS / "requirements.txt"
# Several checkouts may share one by a link, which `venv --clear` cannot replace.
VENV = (CHECKOUT / ".venv").resolve()


def program(name: str) -> str:
    """The path of an installed program; `/usr/sbin` is searched although a user's PATH lacks it."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if path is None:
        raise LaunchError(f"{name} is not installed: run `scripts/test packages`")
    return path


def packaged(name: str) -> str:
    """A program that a package of the environment carries."""
    python()
    path = VENV / "bin" / name
    if not path.exists():
        raise LaunchError(f"no {name} in {VENV}: remove it and run `scripts/test venv`")
    return str(path)


def envoy() -> str:
    """The envoy binary inside the installed package."""
    found = sorted(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise LaunchError(f"no envoy in {VENV}: remove it and run `scripts/test venv`")
    return str(found[0])


def python() -> str:
    """The environment's interpreter, after building the environment if the pinned versions changed.

    Launchers that start together wait for the one that builds it. When nothing changed this reads
    two small files.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / "lbtest-requirements"
    interpreter = VENV / "bin" / "python"
    with REQUIREMENTS.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (interpreter.exists() and stamp.exists() and stamp.read_text() == wanted):
            _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "creating the Python environment")
            options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
            _run([str(interpreter), "-m", "pip", "install", *options, "-r", str(REQUIREMENTS)], "installing the apps")
            stamp.write_text(wanted)
    return str(interpreter)


def _run(command: list[str], purpose: str) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LaunchError(f"{purpose} failed (python3-venv is Debian's package):\n{result.stdout}{result.stderr}")
