#!/usr/bin/env python3
"""Tests of what a release consists of: the static executable in a bare root, the image, the notes.

    scripts/test release

`LBTEST_DIST` names a folder that scripts/release/build has filled; without it the executable is linked here, from what the
other tests have built.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SECONDS = 900
MOST_BYTES = 15_000_000
# buildah needs that, and a plain chroot has it not.
ROOT_IS_A_MOUNT = re.search(r"^(\S+ ){4}/ ", Path("/proc/self/mountinfo").read_text(), re.M)


def run(*command, **options):
    """A command's result, with its output as text."""
    options = {"capture_output": True, "text": True, "timeout": SECONDS, **options}
    return subprocess.run([str(word) for word in command], **options)


def in_root(root, *command):
    """The command that runs another with `root` as its root, where necessary in a namespace that allows it."""
    within = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    return [*within, "chroot", str(root), *command]


def setUpModule():
    global DIST, SCRATCH
    SCRATCH = tempfile.TemporaryDirectory()
    if "LBTEST_DIST" in os.environ:
        DIST = Path(os.environ["LBTEST_DIST"]).resolve()
    else:
        DIST = Path(SCRATCH.name) / "dist"
        subprocess.run([HERE / "build", DIST], env={**os.environ, "PROFILE": "dev"}, check=True)
    if ROOT_IS_A_MOUNT:
        started = time.monotonic()
        subprocess.run([HERE / "image", DIST], check=True)
        print(f"image: {time.monotonic() - started:.1f} s", file=sys.stderr)


def tearDownModule():
    SCRATCH.cleanup()


class BareRoot(unittest.TestCase):
    """The executable where there is nothing else: no libraries, no /etc, no /proc."""

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(dir=SCRATCH.name))
        shutil.copy(DIST / "lbtest", self.root / "lbtest")

    def lbtest(self, *arguments):
        return run(*in_root(self.root, "/lbtest", *arguments), cwd=self.root)

    def serving(self):
        """An embedded ingress beside the root, ended with the test; its port."""
        ingress = subprocess.Popen(
            [DIST / "lbtest", "ingress", "--split", "v1=70,v2=30", "--discipline", "round-robin"], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(ingress.stdout.close)
        self.addCleanup(ingress.wait, SECONDS)
        self.addCleanup(ingress.terminate)
        for line in ingress.stdout:
            if listening := re.search(r"listening on http://127\.0\.0\.1:(\d+)/", line):
                return int(listening[1])
        self.fail("the ingress did not say where it listens")

    def test_the_demo_passes_and_writes_its_reports(self):
        ran = self.lbtest("demo", "--expect", "v1=70,v2=30", "--json", "report.json", "--html", "report.html")
        self.assertEqual(ran.returncode, 0, ran)
        self.assertTrue(ran.stdout.startswith("PASS"), ran)
        report = json.loads((self.root / "report.json").read_text())
        self.assertEqual(report["requests"]["attributed"], 3664)
        self.assertEqual(
            sorted(path.name for path in self.root.iterdir()), ["lbtest", "report.html", "report.json"]
        )

    def test_it_names_its_version_and_no_library(self):
        version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        self.assertEqual(self.lbtest("--version").stdout, f"lbtest {version}\n")
        listed = run("ldd", DIST / "lbtest")
        self.assertRegex(listed.stdout + listed.stderr, "statically linked|not a dynamic executable")

    def test_localhost_and_the_names_of_etc_hosts_resolve(self):
        port = self.serving()
        ran = self.lbtest(f"http://localhost:{port}/", "--expect", "v1=70,v2=30", "-n", "200", "--json", "-")
        self.assertEqual(json.loads(ran.stdout)["requests"]["attributed"], 200, ran)
        (self.root / "etc").mkdir()
        (self.root / "etc/hosts").write_text("127.0.0.1 ingress.test\n")
        ran = self.lbtest(f"http://ingress.test:{port}/", "--expect", "v1=70,v2=30", "-n", "200", "--json", "-")
        self.assertEqual(json.loads(ran.stdout)["requests"]["attributed"], 200, ran)

    def test_a_name_that_nobody_knows_is_one_clear_sentence(self):
        (self.root / "etc").mkdir()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            # Nobody answers there: what is asked of it is refused at once.
            silent.bind(("127.0.0.1", 0))
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.2\noptions timeout:1 attempts:1\n")
        ran = self.lbtest("http://nowhere.test/", "--expect", "v1=70,v2=30")
        self.assertEqual(ran.returncode, 4, ran)
        self.assertIn("cannot reach nowhere.test:80", ran.stdout)

    def test_a_certificate_is_checked_against_the_authorities_that_it_brings(self):
        keys = self.root / "keys"
        keys.mkdir()
        made = run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "1", "-subj", "/CN=ingress.test", "-addext", "subjectAltName=DNS:ingress.test",
            "-keyout", keys / "key.pem", "-out", keys / "certificate.pem",
        )
        self.assertEqual(made.returncode, 0, made)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            ["openssl", "s_server", "-quiet", "-www", "-accept", f"127.0.0.1:{port}",
             "-key", keys / "key.pem", "-cert", keys / "certificate.pem"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.addCleanup(server.wait, SECONDS)
        self.addCleanup(server.terminate)
        deadline = time.monotonic() + SECONDS
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            self.assertLess(time.monotonic(), deadline, "openssl does not listen")
            time.sleep(0.05)
        target = [f"https://ingress.test:{port}/", "--resolve", f"ingress.test:{port}:127.0.0.1", "--expect",
                  "v1=70,v2=30", "-n", "3", "-c", "1"]
        refused = self.lbtest(*target)
        self.assertEqual(refused.returncode, 4, refused)
        self.assertIn("certificate", refused.stdout)
        trusted = self.lbtest(*target, "--cacert", "keys/certificate.pem", "--json", "-")
        # Its pages name no pod, but they are read: nothing fails.
        self.assertEqual(json.loads(trusted.stdout)["requests"]["by_failure"], {}, trusted)


class Paths(unittest.TestCase):
    @unittest.skipUnless("LBTEST_DIST" in os.environ, "the tests' own build is for the machine that it is made on")
    def test_the_executable_holds_no_path_of_the_machine_that_built_it(self):
        content = (DIST / "lbtest").read_bytes()
        home = Path.home()
        sources = Path(os.environ.get("CARGO_HOME", home / ".cargo"))
        sysroot = run("rustc", "--print", "sysroot").stdout.strip()
        for folder in {str(home), str(ROOT), str(sources), sysroot}:
            self.assertNotIn(folder.encode() + b"/", content, folder)


class Archive(unittest.TestCase):
    def test_it_holds_the_executable_the_pages_and_the_completions(self):
        [archive] = DIST.glob("lbtest-*-linux.tar.gz")
        with tarfile.open(archive) as packed:
            names = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
            self.assertTrue(all(member.uid == 0 for member in packed.getmembers()))
            inner = next(member for member in packed.getmembers() if member.name.endswith("/lbtest"))
            self.assertEqual(packed.extractfile(inner).read(), (DIST / "lbtest").read_bytes())
        self.assertLessEqual(
            {"lbtest", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "man1/lbtest.1", "man1/lbtest-demo.1", "completions/lbtest.zsh"},
            names,
        )
        checked = run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=DIST)
        self.assertEqual(checked.returncode, 0, checked)


class Installation(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH.name))
        [self.archive] = DIST.glob("lbtest-*-linux.tar.gz")

    def install(self, archive, checksum):
        return run(ROOT / "scripts/install.sh", archive, checksum, self.folder)

    def test_the_archive_is_installed_and_runs_by_its_checksum_or_the_file_of_all(self):
        digest = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        for checksum in [DIST / "SHA256SUMS", digest]:
            ran = self.install(self.archive, checksum)
            self.assertEqual(ran.returncode, 0, ran)
        for program in ["lbtest", "kubectl-lbtest"]:
            self.assertIn("lbtest", run(self.folder / "bin" / program, "--version").stdout)
        self.assertTrue((self.folder / "share/man/man1/lbtest.1").is_file())

    def test_an_archive_of_another_checksum_is_refused_and_nothing_is_installed(self):
        changed = self.folder.parent / self.archive.name
        changed.write_bytes(self.archive.read_bytes() + b"\0")
        for archive, checksum, told in [(changed, DIST / "SHA256SUMS", "does not have the checksum"),
                                        (self.archive, "0" * 64, "does not have the checksum"),
                                        (Path(__file__), DIST / "SHA256SUMS", "does not list")]:
            ran = self.install(archive, checksum)
            self.assertEqual(ran.returncode, 2, ran)
            self.assertIn(told, ran.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    @unittest.skipUnless(shutil.which("dpkg-deb"), "there is no dpkg-deb")
    def test_the_debian_package_holds_the_same_executable(self):
        [package] = DIST.glob("lbtest_*.deb")
        ran = run("dpkg-deb", "--extract", package, self.folder)
        self.assertEqual(ran.returncode, 0, ran)
        for program in ["lbtest", "kubectl-lbtest"]:
            self.assertEqual((self.folder / "usr/bin" / program).read_bytes(), (DIST / "lbtest").read_bytes())
        self.assertIn("Package: lbtest\n", run("dpkg-deb", "--field", package).stdout)


@unittest.skipUnless(ROOT_IS_A_MOUNT, "/ is no mount here: see what scripts/release/image says")
class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        [cls.archive] = DIST.glob("lbtest-*-image.tar")
        with tarfile.open(cls.archive) as packed:
            cls.files = {
                member.name.removeprefix("./"): packed.extractfile(member).read()
                for member in packed.getmembers()
                if member.isfile()
            }
        index = json.loads(cls.files["index.json"])
        [cls.entry] = index["manifests"]
        cls.manifest = json.loads(cls.blob(cls.entry))
        cls.config = json.loads(cls.blob(cls.manifest["config"]))

    @classmethod
    def blob(cls, descriptor):
        """The content that a descriptor names, checked against its digest and size."""
        algorithm, digest = descriptor["digest"].split(":")
        content = cls.files[f"blobs/{algorithm}/{digest}"]
        assert hashlib.new(algorithm, content).hexdigest() == digest, descriptor
        assert len(content) == descriptor["size"], descriptor
        return content

    def test_it_is_an_oci_layout_of_the_name_that_the_manifests_use(self):
        self.assertEqual(json.loads(self.files["oci-layout"])["imageLayoutVersion"], "1.0.0")
        named = self.entry["annotations"]["org.opencontainers.image.ref.name"]
        used = {
            image
            for path in (ROOT / "scripts/k8s").glob("*.yaml")
            for image in re.findall(r"image: (\S+)", path.read_text())
        }
        self.assertEqual({named}, used)

    def test_it_runs_the_executable_as_nobody_in_particular(self):
        config = self.config["config"]
        self.assertEqual(config["Entrypoint"], ["/usr/local/bin/lbtest"])
        self.assertEqual(config["User"], "65532:65532")
        self.assertNotIn("Cmd", config)
        self.assertEqual(self.config["os"], "linux")

    def test_it_holds_one_file_and_is_small(self):
        [layer] = self.manifest["layers"]
        root = Path(tempfile.mkdtemp(dir=SCRATCH.name))
        compressed = root / "layer"
        compressed.write_bytes(self.blob(layer))
        with tarfile.open(compressed) as packed:
            [file] = [member for member in packed.getmembers() if not member.isdir()]
            self.assertEqual((file.name.lstrip("./"), file.mode & 0o777), ("usr/local/bin/lbtest", 0o755))
            content = packed.extractfile(file).read()
        self.assertEqual(content, (DIST / "lbtest").read_bytes())
        size = self.archive.stat().st_size
        print(f"image: {size} bytes, executable: {len(content)} bytes", file=sys.stderr)
        self.assertLess(size, MOST_BYTES)
        if "LBTEST_DIST" in os.environ:
            # Optimised, as it is released, it is small unpacked as well.
            self.assertLess(len(content), MOST_BYTES)
        executable = root / "usr/local/bin/lbtest"
        executable.parent.mkdir(parents=True)
        executable.write_bytes(content)
        executable.chmod(0o755)
        ran = run(*in_root(root, *self.config["config"]["Entrypoint"], "demo", "--expect", "v1=70,v2=30"))
        self.assertEqual(ran.returncode, 0, ran)


class Notes(unittest.TestCase):
    def notes(self, version, changelog=None):
        arguments = [version]
        if changelog is not None:
            path = Path(SCRATCH.name) / "CHANGELOG.md"
            path.write_text(changelog)
            arguments.append(path)
        return run(HERE / "notes", *arguments)

    CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-25

### Added

- Two.

## 1.1.0

- One.

[1.2.0]: https://example.org/1.2.0
"""

    def test_they_are_the_section_of_the_version_alone(self):
        for version in ["1.2.0", "v1.2.0"]:
            ran = self.notes(version, self.CHANGELOG)
            self.assertEqual((ran.returncode, ran.stdout), (0, "### Added\n\n- Two.\n"), ran)
        self.assertEqual(self.notes("1.1.0", self.CHANGELOG).stdout, "- One.\n")

    def test_an_unknown_or_empty_version_is_refused(self):
        for version, told in [("1.3.0", "it has: Unreleased 1.2.0 1.1.0"), ("Unreleased", "says nothing"),
                              ("1x2.0", "no section"), ("--version", "name a version")]:
            ran = self.notes(version, self.CHANGELOG)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""), ran)
            self.assertIn(told, ran.stderr)

    def test_the_projects_own_changelog_can_be_read(self):
        ran = self.notes("Unreleased")
        self.assertEqual(ran.returncode, 0, ran)
        self.assertIn("### Added", ran.stdout)


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
