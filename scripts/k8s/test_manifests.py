#!/usr/bin/env python3
"""Tests of the manifests and of what the chart makes: valid Kubernetes objects, and arguments that lbtest takes and that measure.

    scripts/test venv manifests

`LBTEST` names the executable (default: target/debug/lbtest of the checkout).
"""

import copy
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from fields import RESOURCES, problems
from objects import CONFIG, documents, jobs, manifests, pod_specs, validate
from server import LBTEST, SECONDS, Server

SPLIT = "v1=70,v2=30"


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
        known = {"Job", "CronJob", "Pod", "AnalysisTemplate", "Canary", "Deployment", "Service", "NetworkPolicy", "ServiceMonitor"}
        self.assertLessEqual(known, kinds)

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
        self.assertEqual(len(policies), 4)
        for rules in policies:
            by_code = {
                code: rule["action"]
                for rule in reversed(rules)
                for code in rule.get("onExitCodes", {}).get("values", [])
            }
            self.assertEqual(by_code, {1: "FailJob", 2: "FailJob", 3: "FailJob", 4: "Count"})


class Arguments(unittest.TestCase):
    """What lbtest says to the arguments, sent to an ingress on this machine instead."""

    @classmethod
    def setUpClass(cls):
        ingress = Server("ingress", "--split", SPLIT, "--discipline", "round-robin", "--listen", "127.0.0.1:0")
        cls.addClassCleanup(ingress.stop)
        cls.address = ingress.address
        ran = cls.lbtest([f"http://{cls.address}/", f"--expect={SPLIT}", "-n", "100", "--json", "-"])
        pods = {pod["label"]: pod["name"] for pod in json.loads(ran.stdout)["pods"]}
        hashes = {label: name.split("-")[-2] for label, name in pods.items()}
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.chart = folder.name
        Path(cls.chart, "lbtest.toml").write_text(CONFIG)
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
        """A container's arguments, with what Argo Rollouts and the chart put into them, and this machine's ingress."""
        given = [self.substituted(argument).replace("/etc/lbtest", self.chart) for argument in container["args"]]
        return [*given, "--connect-to", f"::{self.address}"]

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
        self.assertEqual(files, {"cronjob.yaml", "helm-test.yaml", "argo-rollouts.yaml", "chart"})

    def test_the_indexed_jobs_measure_in_parts_and_their_logs_merge(self):
        jobs = [(name, job, container) for name, job, container in self.gates() if job["kind"] == "Job"]
        self.assertEqual([name for name, _, _ in jobs], ["job.yaml", "chart"])
        for name, job, container in jobs:
            with self.subTest(file=name):
                self.measure_in_parts(job["spec"]["completions"], container)

    def measure_in_parts(self, count, container):
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
        self.assertEqual((merged.returncode, report["verdict"], report["run_id"]), (0, "pass", "9d7e"), merged.stdout)
        self.assertEqual(report["requests"]["attributed"], 3664)

    def serve(self):
        """The Deployment's container with the ConfigMap's file, both for this machine."""
        objects = {document["kind"]: document for name, document in manifests() if name == "serve.yaml"}
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
        self.assertEqual(server.ask(container["livenessProbe"]["httpGet"]["path"])[0], 200)
        self.assertEqual(server.ask(container["readinessProbe"]["httpGet"]["path"])[0], 200)
        return server

    def test_argos_web_metric_is_answered(self):
        server = self.serve()
        web = next(
            document["spec"]["metrics"][0]["provider"]["web"]
            for _, document in manifests()
            if document["metadata"]["name"] == "lbtest-web"
        )
        path = re.fullmatch(r"http://lbtest\.default\.svc:8080(/.*)", self.substituted(web["url"])).group(1)
        headers = {header["key"]: self.substituted(header["value"]) for header in web["headers"]}
        self.assertEqual(web["jsonPath"], "{$.verdict}")
        self.assertEqual(server.ask(path)[0], 401)
        self.assertEqual(server.verdict(path, headers=headers), (200, "pass"))
        wrong = path.replace("stable=70,canary=30", "stable=30,canary=70")
        self.assertNotEqual(wrong, path)
        self.assertEqual(server.verdict(wrong, headers=headers), (200, "fail"))

    def test_flaggers_webhook_is_answered(self):
        server = self.serve()
        hook = next(
            document["spec"]["analysis"]["webhooks"][0] for _, document in manifests() if document["kind"] == "Canary"
        )
        path = re.fullmatch(r"http://lbtest\.default\.svc:8080(/.*)", hook["url"]).group(1)
        payload = {
            "name": "shop",
            "namespace": "default",
            "phase": "Progressing",
            "checksum": "85d557f47b",
            "metadata": hook["metadata"],
        }
        self.assertEqual(server.ask(path, payload)[0], 401)
        hook["metadata"]["token"] = "s3cret"
        self.assertEqual(server.ask(path, payload)[0], 425)
        self.assertEqual(server.verdict(path, payload), (200, "pass"))
        hook["metadata"]["expect"] = "primary=30,canary=70"
        self.assertEqual(server.verdict(path, payload), (409, "fail"))


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
