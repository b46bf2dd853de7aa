#!/usr/bin/env python3
"""Tests of the chart, by the real helm.

    scripts/test venv manifests

What it makes is tested by test_manifests.py too, as the manifests are.
"""

import copy
import re
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
from objects import CHART, CONFIG, EVERYTHING, helm, manifests, pod_specs, rendered, validate
from server import Server


def kinds(objects):
    return sorted(document["kind"] for document in objects)


def of_kind(objects, kind):
    [found] = [document for document in objects if document["kind"] == kind]
    return found


class Chart(unittest.TestCase):
    def test_helm_finds_nothing_to_say_of_it(self):
        for values in ({"config": CONFIG}, EVERYTHING):
            ran = helm("lint", "--strict", "--quiet", CHART, values=values)
            self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, "", ""), ran)

    def test_its_version_is_that_of_the_executable(self):
        version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))

    def test_a_configuration_alone_is_enough_for_the_gate_and_a_test(self):
        self.assertEqual(kinds(rendered({"config": CONFIG})), ["ConfigMap", "Deployment", "Pod", "Service"])

    def test_without_a_configuration_it_says_what_to_give(self):
        ran = helm("template", "shop", CHART, values={})
        self.assertEqual(ran.returncode, 1, ran)
        self.assertIn("config is missing: give --set-file config=lbtest.toml", ran.stderr)

    def test_a_value_that_is_mistyped_or_unknown_is_refused_by_its_name(self):
        for values, told in [
            ({"serve": {"enable": True}}, "enable"),
            ({"job": {"shards": 0}}, "shards"),
            ({"test": {"args": "--quiet"}}, "args"),
            ({"conifg": ""}, "conifg"),
        ]:
            ran = helm("template", "shop", CHART, values={"config": CONFIG, **values})
            self.assertEqual(ran.returncode, 1, ran)
            self.assertIn(told, ran.stderr)

    def test_every_value_has_its_place_in_the_schema(self):
        def names(value, below=""):
            for name, part in value.items():
                yield below + name
                if isinstance(part, dict) and name not in ("files", "labels", "resources", "nodeSelector", "affinity"):
                    yield from names(part, f"{below}{name}.")

        def known(schema, below=""):
            for name, part in schema.get("properties", {}).items():
                yield below + name
                yield from known(part, f"{below}{name}.")

        schema = yaml.safe_load((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(names(values)), set(known(schema)) - {"global"})

    def test_no_object_names_a_namespace_and_every_name_fits(self):
        for release in ("shop", "lbtest", "a" * 53):
            ran = helm("template", release, CHART, "--namespace", "elsewhere", values=EVERYTHING)
            self.assertEqual(ran.returncode, 0, ran)
            self.assertNotIn("elsewhere", ran.stdout)
            names = set()
            for document in filter(None, yaml.safe_load_all(ran.stdout)):
                self.assertNotIn("namespace", document["metadata"])
                self.assertLessEqual(len(document["metadata"]["name"]), 52)
                names.add((document["kind"], document["metadata"]["name"]))
            self.assertIn(("Service", {"shop": "shop-lbtest", "lbtest": "lbtest"}.get(release, "a" * 40)), names)

    def test_every_switch_takes_its_objects_and_no_others(self):
        everything = kinds(rendered(EVERYTHING))
        for switch, lost in {
            "serve": {"Deployment", "Service", "ServiceMonitor"},
            "networkPolicy": {"NetworkPolicy"},
            "cronJob": {"CronJob"},
            "job": {"Job"},
            "test": {"Pod"},
        }.items():
            values = copy.deepcopy(EVERYTHING)
            values.setdefault(switch, {})["enabled"] = False
            self.assertEqual(kinds(rendered(values)), [kind for kind in everything if kind not in lost], switch)

    def test_what_is_asked_for_stands_where_it_belongs(self):
        objects = rendered({
            **EVERYTHING,
            "files": {"ca.pem": "an authority\n"},
            "image": {"repository": "registry.example/lbtest", "tag": "9", "pullSecrets": [{"name": "pull"}]},
            "serve": {"tokenSecret": "own", "tokenKey": "bearer", "serviceMonitor": {"enabled": True}},
            "networkPolicy": {"enabled": True, "from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
            "test": {"args": ["--check=shop"]},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
        })
        for document in objects:
            if document["kind"] != "ServiceMonitor":
                validate(document)
        for spec in pod_specs(objects):
            [container] = spec["containers"]
            self.assertEqual(container["image"], "registry.example/lbtest:9")
            self.assertEqual(spec["imagePullSecrets"], [{"name": "pull"}])
            self.assertEqual((spec["nodeSelector"], spec["tolerations"]), ({"disk": "fast"}, [{"operator": "Exists"}]))
            self.assertIn("affinity", spec)
        self.assertEqual(of_kind(objects, "ConfigMap")["data"], {"lbtest.toml": CONFIG, "ca.pem": "an authority\n"})
        [endpoint] = of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]
        self.assertEqual(endpoint["authorization"]["credentials"], {"name": "own", "key": "bearer"})
        [token] = [v for v in of_kind(objects, "Deployment")["spec"]["template"]["spec"]["volumes"] if v["name"] == "token"]
        self.assertEqual(token["secret"]["secretName"], "own")
        self.assertEqual(token["secret"]["items"], [{"key": "bearer", "path": "token"}])
        policy = of_kind(objects, "NetworkPolicy")["spec"]
        self.assertEqual(policy["ingress"], [{"ports": [{"port": "http"}], "from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}])
        self.assertEqual(policy["policyTypes"], ["Ingress"])
        self.assertEqual(of_kind(objects, "Pod")["spec"]["containers"][0]["args"][-1], "--check=shop")

    def test_the_selectors_choose_the_pods_that_they_mean(self):
        objects = rendered(EVERYTHING)
        templates = [document["spec"] for document in objects if document["kind"] in ("Deployment", "Job")]
        templates.append(of_kind(objects, "CronJob")["spec"]["jobTemplate"]["spec"])
        labels = [template["template"]["metadata"]["labels"] for template in templates]
        labels.append(of_kind(objects, "Pod")["metadata"]["labels"])

        def chosen(selector):
            return [part.get("app.kubernetes.io/component") for part in labels if selector.items() <= part.items()]

        for kind in ("Service", "Deployment"):
            selector = of_kind(objects, kind)["spec"]["selector"]
            self.assertEqual(chosen(selector.get("matchLabels", selector)), ["serve"])
        self.assertEqual(len(chosen(of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"])), 4)
        monitor = of_kind(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(monitor.items(), of_kind(objects, "Service")["metadata"]["labels"].items())

    def test_another_configuration_is_another_pod(self):
        def annotations(config):
            return of_kind(rendered({"config": config}), "Deployment")["spec"]["template"]["metadata"]["annotations"]

        self.assertEqual(annotations(CONFIG), annotations(CONFIG))
        self.assertNotEqual(annotations(CONFIG), annotations(CONFIG + "\n# changed\n"))

    def test_it_makes_what_the_manifests_say(self):
        """Apart from names, arguments and where those come from, so that neither falls behind the other."""

        def bare(document):
            document = copy.deepcopy(document)
            for spec in pod_specs(document):
                spec.pop("volumes", None)
                for container in spec["containers"]:
                    for name in ("args", "volumeMounts", "imagePullPolicy"):
                        container.pop(name, None)
            spec = document["spec"]
            for holder in (spec, spec.get("template", {}), spec.get("jobTemplate", {}).get("spec", {}).get("template", {})):
                holder.pop("metadata", None)
                holder.pop("selector", None)
            for constraint in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
                constraint.pop("labelSelector")
            return spec

        made = {document["kind"]: bare(document) for document in rendered(EVERYTHING) if "spec" in document}
        files = ("serve.yaml", "cronjob.yaml", "job.yaml", "helm-test.yaml")
        written = {d["kind"]: bare(d) for name, d in manifests() if name in files and "spec" in d}
        self.assertEqual(set(written), {"Deployment", "Service", "CronJob", "Job", "Pod"})
        for kind, spec in written.items():
            self.assertEqual(made[kind], spec, kind)

    def test_its_gate_answers_what_the_servicemonitor_asks_and_gives_verdicts(self):
        ingress = Server("ingress", "--split", "v1=70,v2=30", "--discipline", "round-robin", "--listen", "127.0.0.1:0")
        self.addCleanup(ingress.stop)
        config = CONFIG.replace("ingress.example", ingress.address)
        objects = rendered({**EVERYTHING, "config": config})
        [container] = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Path(folder.name, "token").write_text("s3cret\n")
        Path(folder.name, "lbtest.toml").write_text(of_kind(objects, "ConfigMap")["data"]["lbtest.toml"])
        # Where the Deployment mounts its two volumes, and the port that its Service leads to.
        arguments = [
            argument.replace("/etc/lbtest", folder.name).replace("/run/secrets/lbtest", folder.name)
            .replace("0.0.0.0:8080", "127.0.0.1:0")
            for argument in container["args"]
        ]
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        self.assertEqual(mounted, ["/etc/lbtest", "/run/secrets/lbtest"])
        server = Server(*arguments, environment={})
        self.addCleanup(server.stop)
        for probe in ("livenessProbe", "readinessProbe"):
            self.assertEqual(server.ask(container[probe]["httpGet"]["path"])[0], 200)
        [endpoint] = of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]
        token = {"Authorization": "Bearer s3cret"}
        self.assertEqual(server.ask(endpoint["path"])[0], 401)
        self.assertEqual(server.ask(endpoint["path"], headers=token)[0], 200)
        self.assertEqual(server.verdict("/verdict/shop", headers=token), (200, "pass"))


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
