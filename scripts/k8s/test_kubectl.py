#!/usr/bin/env python3
"""Tests of `kubectl lbtest`, by the real kubectl, which asks an API of recorded objects.

    scripts/test venv manifests
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
RECORDED = HERE.parent.parent / "tests/data/kubectl"
sys.path.insert(0, str(HERE))
from programs import program
from server import LBTEST, SECONDS, Server

NAMESPACE = "challenger-03"


def resources():
    """Every resource that the recorded cluster knows: (API version, its entry of the discovery)."""
    for line in (RECORDED / "api-resources.txt").read_text().splitlines():
        [name, *short, version, namespaced, kind] = line.split()
        yield version, {
            "name": name, "singularName": "", "shortNames": short, "namespaced": namespaced == "true", "kind": kind,
            "verbs": ["get", "list"],
        }


class Api(BaseHTTPRequestHandler):
    """The part of Kubernetes' API that reading needs."""

    objects = json.loads((RECORDED / "objects.json").read_text())["items"]
    asked = []

    def do_GET(self):
        path = self.path.split("?")[0]
        answer = self.answer(path.strip("/").split("/"))
        self.asked.append((self.command, path))
        body = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, parts):
        known = list(resources())
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            versions = {version for version, _ in known if "/" in version}
            groups = [
                {"name": version.split("/")[0], "versions": [named], "preferredVersion": named}
                for version in sorted(versions)
                for named in [{"groupVersion": version, "version": version.split("/")[1]}]
            ]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        version = "/".join(parts[1:2] if parts[0] == "api" else parts[1:3])
        of_version = [resource for one, resource in known if one == version]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest and of_version:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": of_version}
        if rest[:2] == ["namespaces", NAMESPACE]:
            for resource in of_version:
                if rest[2:] == [resource["name"]]:
                    wanted = (version, resource["kind"])
                    items = [item for item in self.objects if (item["apiVersion"], item["kind"]) == wanted]
                    return {"kind": resource["kind"] + "List", "apiVersion": version, "metadata": {}, "items": items}
        return None

    def log_message(self, *_):
        pass


class Plugin(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        Path(folder.name, "kubectl-lbtest").symlink_to(LBTEST)
        Api.asked.clear()
        api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        self.addCleanup(api.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(api.shutdown)
        cluster = {"name": "recorded", "cluster": {"server": f"http://127.0.0.1:{api.server_port}"}}
        context = {"name": "recorded", "context": {"cluster": "recorded", "user": "nobody"}}
        config = {
            "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context],
            "current-context": "recorded", "users": [{"name": "nobody", "user": {}}],
        }
        Path(folder.name, "config").write_text(json.dumps(config))

    def kubectl(self, *arguments):
        path = os.pathsep.join([str(self.folder), str(Path(program("kubectl")).parent), os.environ["PATH"]])
        environment = {"PATH": path, "HOME": str(self.folder), "KUBECONFIG": str(self.folder / "config")}
        return subprocess.run(
            ["kubectl", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )

    def test_kubectl_lists_it_and_runs_it(self):
        listed = self.kubectl("plugin", "list", "--name-only")
        self.assertIn("kubectl-lbtest", listed.stdout.split(), listed)
        self.assertRegex(self.kubectl("lbtest", "--version").stdout, r"^lbtest \d")

    def test_it_reads_the_split_and_the_pods_and_changes_nothing(self):
        ingress = Server("ingress", "--split", "v1=70,v2=30", "--discipline", "round-robin", "--listen", "127.0.0.1:0")
        self.addCleanup(ingress.stop)
        ran = self.kubectl("lbtest", f"{NAMESPACE}/challenge-app-ingress", f"http://{ingress.address}/", "--json", "-")
        self.assertEqual(ran.returncode, 0, ran)
        shares = {backend["label"]: backend["expected_share"] for backend in json.loads(ran.stdout)["backends"]}
        self.assertEqual(sorted(shares.values()), [0.3, 0.7], shares)
        self.assertEqual({method for method, _ in Api.asked}, {"GET"})
        lists = {path.rsplit("/", 1)[1] for _, path in Api.asked if "/namespaces/" in path}
        self.assertEqual(
            lists,
            {"pods", "services", "daemonsets", "deployments", "replicasets", "statefulsets", "endpointslices",
             "httproutes", "ingresses"},
        )


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
