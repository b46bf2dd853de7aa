#!/usr/bin/env python3
"""Tests of the manifests: valid Kubernetes objects, and arguments that lbtest takes and that measure.

    scripts/test venv manifests

`LBTEST` names the executable (default: target/debug/lbtest of the checkout).
"""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import kubernetes_validate
import yaml

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from fields import JOB, RESOURCES, problems

LBTEST = os.environ.get("LBTEST", str(HERE.parent.parent / "target" / "debug" / "lbtest"))
KUBERNETES = kubernetes_validate.latest_version()
SPLIT = "v1=70,v2=30"
SECONDS = 900


def documents():
    """(file, object) for every object of every manifest."""
    for path in sorted(HERE.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def pod_specs(value):
    """Every pod spec inside an object."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from pod_specs(part)


def jobs(value, fields):
    """Every part of a custom resource that is a Job's spec."""
    if fields is JOB:
        yield value
    elif isinstance(fields, dict):
        for name, part in value.items():
            yield from jobs(part, fields.get(name))
    elif isinstance(fields, list):
        for part in value:
            yield from jobs(part, fields[0])


def validate(document):
    """Raises when a built-in object is none, unknown fields included."""
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


class Objects(unittest.TestCase):
    """What a cluster would say."""

    def test_every_object_is_one_that_its_api_knows(self):
        kinds = set()
        for name, document in documents():
            key = (document["apiVersion"], document["kind"])
            kinds.add(document["kind"])
            with self.subTest(file=name, kind=key):
                if key not in RESOURCES:
                    validate(document)
                    continue
                self.assertEqual(set(document) - {"apiVersion", "kind", "metadata", "spec"}, set())
                self.assertEqual(list(problems("spec", document["spec"], RESOURCES[key])), [])
                for spec in jobs(document["spec"], RESOURCES[key]):
                    validate({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": spec})
        self.assertLessEqual({"Job", "CronJob", "Pod", "AnalysisTemplate", "Canary", "Deployment", "Service"}, kinds)

    def test_a_misspelt_field_is_found_anywhere(self):
        def maps(value):
            if isinstance(value, dict):
                yield value
                value = list(value.values())
            if isinstance(value, list):
                for part in value:
                    yield from maps(part)

        specified = [(name, document) for name, document in documents() if "spec" in document]
        for name, document in specified:
            key = (document["apiVersion"], document["kind"])
            for index, _ in enumerate(maps(document["spec"])):
                spoilt = copy.deepcopy(document)
                place = list(maps(spoilt["spec"]))[index]
                if all(isinstance(value, str) for value in place.values()) and key not in RESOURCES:
                    continue  # labels and selectors take any name
                place["tyopgraphical"] = {"error": 1}
                with self.subTest(file=name, kind=key, index=index):
                    if key in RESOURCES:
                        if list(problems("spec", spoilt["spec"], RESOURCES[key])):
                            continue
                        specs = list(jobs(spoilt["spec"], RESOURCES[key]))
                        spoilt = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": specs[0]}
                    with self.assertRaises(kubernetes_validate.ValidationError):
                        validate(spoilt)

    def test_no_pod_asks_for_a_right(self):
        for name, document in documents():
            self.assertNotIn(document["kind"], {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"})
            for spec in pod_specs(document):
                with self.subTest(file=name):
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertNotIn("serviceAccountName", spec)
                    self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                    self.assertGreater(spec["securityContext"]["runAsUser"], 0)
                    for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
                        self.assertNotIn(forbidden, spec)
                    for container in spec["containers"]:
                        context = container["securityContext"]
                        self.assertIs(context["readOnlyRootFilesystem"], True)
                        self.assertIs(context["allowPrivilegeEscalation"], False)
                        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})

    def test_a_verdict_ends_a_job_and_what_could_not_measure_is_tried_again(self):
        policies = [
            spec["podFailurePolicy"]["rules"]
            for _, document in documents()
            for whole in [document.get("spec", {})]
            for spec in (whole, whole.get("jobTemplate", {}).get("spec", {}))
            if "podFailurePolicy" in spec
        ]
        self.assertEqual(len(policies), 2)
        for rules in policies:
            by_code = {
                code: rule["action"]
                for rule in reversed(rules)
                for code in rule.get("onExitCodes", {}).get("values", [])
            }
            self.assertEqual(by_code, {1: "FailJob", 2: "FailJob", 3: "FailJob", 4: "Count"})


class Server:
    """An lbtest that listens, until it is stopped."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            [LBTEST, *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        # The address comes last.
        listening = (re.search(r"listening on http://([^/]+)/", line) for line in self.process.stdout)
        self.address = next(found.group(1) for found in listening if found)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(timeout=SECONDS)
        self.process.stdout.close()
        return status


class Arguments(unittest.TestCase):
    """What lbtest says to the arguments, sent to an ingress on this machine instead."""

    @classmethod
    def setUpClass(cls):
        ingress = Server("ingress", "--split", SPLIT, "--listen", "127.0.0.1:0")
        cls.addClassCleanup(ingress.stop)
        cls.address = ingress.address
        ran = cls.lbtest([f"http://{cls.address}/", f"--expect={SPLIT}", "-n", "100", "--json", "-"])
        pods = {pod["label"]: pod["name"] for pod in json.loads(ran.stdout)["pods"]}
        hashes = {label: name.split("-")[-2] for label, name in pods.items()}
        cls.argo = {
            "url": "http://ingress.example/",
            "host": "shop.example",
            "stable": "70",
            "canary": "30",
            "stable-hash": hashes["v1"],
            "canary-hash": hashes["v2"],
            "check": "shop",
            "token": "s3cret",
        }

    @classmethod
    def lbtest(cls, arguments, **environment):
        return subprocess.run(
            [LBTEST, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )

    def arguments(self, container):
        """A container's arguments, with what Argo Rollouts puts into them, and this machine's ingress."""
        return [*map(self.substituted, container["args"]), "--connect-to", f"::{self.address}"]

    def substituted(self, text):
        """A text of an AnalysisTemplate, as Argo Rollouts puts its arguments into it."""
        return re.sub(r"\{\{args\.([\w-]+)\}\}", lambda found: self.argo[found.group(1)], text)

    def gates(self):
        """(file, object, container) of every container that is a gate."""
        for name, document in documents():
            for spec in pod_specs(document):
                for container in spec["containers"]:
                    if container["args"][0] != "serve":
                        yield name, document, container

    def test_every_gate_measures(self):
        files = set()
        for name, document, container in self.gates():
            if document["kind"] == "Job":
                continue
            files.add(name)
            arguments = [a if not a.startswith("--rate=") else "--rate=20000/s" for a in self.arguments(container)]
            with self.subTest(file=name):
                ran = self.lbtest(arguments)
                self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)
        self.assertEqual(files, {"cronjob.yaml", "helm-test.yaml", "argo-rollouts.yaml"})

    def test_the_indexed_job_measures_in_parts_and_its_logs_merge(self):
        job, container = next((d, c) for _, d, c in self.gates() if d["kind"] == "Job")
        count = job["spec"]["completions"]
        self.assertIn(f"--shard={count}", container["args"])
        logs = ""
        for index in range(count):
            ran = self.lbtest(self.arguments(container), JOB_COMPLETION_INDEX=str(index), LBTEST_RUN_ID="9d7e")
            self.assertEqual(ran.returncode, 0, ran.stderr)
            # A container's log is both streams together.
            lines = (ran.stderr + ran.stdout).splitlines(keepends=True)
            logs += "".join(f"[pod/lbtest-{index}-x7k2p/lbtest] {line}" for line in lines)
        merged = subprocess.run(
            [LBTEST, "merge", "-", "--json"], input=logs, capture_output=True, text=True, timeout=SECONDS
        )
        report = json.loads(merged.stdout)
        self.assertEqual((merged.returncode, report["verdict"], report["run_id"]), (0, "pass", "9d7e"))
        self.assertEqual(report["requests"]["attributed"], 3664)

    def serve(self):
        """The Deployment's container with the ConfigMap's file, both for this machine."""
        objects = {document["kind"]: document for name, document in documents() if name == "serve.yaml"}
        config = objects["ConfigMap"]["data"]["lbtest.toml"]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Path(folder.name, "token").write_text("s3cret\n")
        for there, here in {
            "/run/secrets/lbtest": folder.name,
            "http://ingress-nginx-controller.ingress-nginx.svc/": f"http://{self.address}/",
            "shop-primary": "challenge-app",
            'canary = "shop"': 'canary = "challenge-app-v2"',
        }.items():
            self.assertIn(there, config)
            config = config.replace(there, here)
        Path(folder.name, "lbtest.toml").write_text(config)
        container = next(pod_specs(objects["Deployment"]))["containers"][0]
        arguments = [argument.replace("/etc/lbtest", folder.name) for argument in container["args"]]
        server = Server(*arguments, "--listen", "127.0.0.1:0", environment={})
        self.addCleanup(server.stop)
        self.assertEqual(ask(server, container["livenessProbe"]["httpGet"]["path"])[0], 200)
        self.assertEqual(ask(server, container["readinessProbe"]["httpGet"]["path"])[0], 200)
        return server

    def awaited(self, server, *request, **more):
        """What is answered in the end."""
        deadline = time.monotonic() + SECONDS
        while True:
            status, answer = ask(server, *request, **more)
            if answer["verdict"] != "running":
                return status, answer["verdict"]
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def test_argos_web_metric_is_answered(self):
        server = self.serve()
        web = next(
            document["spec"]["metrics"][0]["provider"]["web"]
            for _, document in documents()
            if document["metadata"]["name"] == "lbtest-web"
        )
        path = re.fullmatch(r"http://lbtest\.default\.svc:8080(/.*)", self.substituted(web["url"])).group(1)
        headers = {header["key"]: self.substituted(header["value"]) for header in web["headers"]}
        self.assertEqual(web["jsonPath"], "{$.verdict}")
        self.assertEqual(ask(server, path)[0], 401)
        self.assertEqual(self.awaited(server, path, headers=headers), (200, "pass"))
        wrong = path.replace("stable=70,canary=30", "stable=30,canary=70")
        self.assertNotEqual(wrong, path)
        self.assertEqual(self.awaited(server, wrong, headers=headers), (200, "fail"))

    def test_flaggers_webhook_is_answered(self):
        server = self.serve()
        hook = next(
            document["spec"]["analysis"]["webhooks"][0] for _, document in documents() if document["kind"] == "Canary"
        )
        path = re.fullmatch(r"http://lbtest\.default\.svc:8080(/.*)", hook["url"]).group(1)
        payload = {
            "name": "shop",
            "namespace": "default",
            "phase": "Progressing",
            "checksum": "85d557f47b",
            "metadata": hook["metadata"],
        }
        self.assertEqual(ask(server, path, payload)[0], 401)
        hook["metadata"]["token"] = "s3cret"
        self.assertEqual(ask(server, path, payload)[0], 425)
        self.assertEqual(self.awaited(server, path, payload), (200, "pass"))
        hook["metadata"]["expect"] = "primary=30,canary=70"
        self.assertEqual(self.awaited(server, path, payload), (409, "fail"))


def ask(server, path, payload=None, headers=None):
    """The status and the body, read as JSON where it is, of a GET, or of a POST with a payload."""
    body = None if payload is None else json.dumps(payload).encode()
    types = {} if payload is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{server.address}{path}", body, {**types, **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    return status, json.loads(text) if text.startswith(b"{") else None


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
