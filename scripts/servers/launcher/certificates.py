"""A certificate authority that lives as long as the server, and the server's certificate."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import LaunchError
from .environment import program

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {first}DNS:{host}, DNS:localhost, IP:127.0.0.1, IP:::1
"""


@dataclass(frozen=True)
class Certificates:
    """Paths: the authority to trust, the server's chain and key, and both in one file."""

    authority: Path
    certificate: Path
    key: Path
    combined: Path


def create(directory: Path, host: str) -> Certificates:
    """A P-256 certificate for `host`, `localhost` and the loopback addresses, valid for two days."""
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    certificate, key = directory / "server.pem", directory / "server.key"
    _request(directory, "lbtest test authority", host, "authority", authority, authority_key, [])
    signer = ["-CA", str(authority), "-CAkey", str(authority_key)]
    _request(directory, "lbtest test server", host, "server", certificate, key, signer)
    combined = directory / "server-combined.pem"
    combined.write_bytes(certificate.read_bytes() + key.read_bytes())
    return Certificates(authority, certificate, key, combined)


def create_for(directory: Path, host: str, name: str) -> Path:
    """A certificate of the same authority for the same host, whose common name is `name`, with its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    signer = ["-CA", str(directory / "ca.pem"), "-CAkey", str(directory / "ca.key")]
    _request(directory, name, host, "server", certificate, key, signer)
    combined = directory / f"{name}-combined.pem"
    combined.write_bytes(certificate.read_bytes() + key.read_bytes())
    return combined


def _request(directory: Path, name: str, host: str, extensions: str, out: Path, key: Path, signer: list[str]) -> None:
    config = directory / f"{extensions}.cnf"
    # A pod has its own name before that of the service, as meshes and cert-manager write it.
    first = f"DNS:{name}, " if " " not in name else ""
    config.write_text(CONFIG.format(name=name, host=host, first=first))
    command = [program("openssl"), "req", "-x509", "-config", str(config), "-extensions", extensions, "-days", "2"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *signer]
    command += ["-keyout", str(key), "-out", str(out)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LaunchError(f"openssl could not make the certificate of the {extensions}:\n{result.stderr}")
