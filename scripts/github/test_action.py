#!/usr/bin/env python3
"""Tests of the GitHub Action: a valid definition, inputs that stay data, outputs and summary of real runs.

    scripts/test venv action

`LBTEST` names the executable (default: target/debug/lbtest of the checkout).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ACTION = ROOT / "action.yml"
LBTEST = os.environ.get("LBTEST", str(ROOT / "target" / "debug" / "lbtest"))
SECONDS = 900


def inputs_of(step):
    """Which variable of the step carries which input."""
    return {
        re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value)[1]: name for name, value in step["env"].items()
    }


def step(name):
    """The step of the action that has this id."""
    [found] = [step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if step.get("id") == name]
    return found


class Definition(unittest.TestCase):
    def setUp(self):
        self.action = yaml.safe_load(ACTION.read_text())
        self.step = step("gate")

    def test_it_is_what_github_takes(self):
        checked = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", str(ACTION)],
            capture_output=True, text=True, timeout=SECONDS,
        )
        self.assertEqual(checked.returncode, 0, checked)

    def test_no_input_becomes_code(self):
        self.assertNotIn("${{", self.step["run"])
        passed = set(inputs_of(self.step)) | {"working-directory"}
        self.assertEqual(passed, set(self.action["inputs"]))

    def test_the_cache_holds_one_version_of_one_machine_alone(self):
        with tempfile.NamedTemporaryFile("r") as output:
            for _ in range(2):
                ran = subprocess.run(
                    ["bash", "-c", step("built")["run"]], capture_output=True, text=True, timeout=SECONDS,
                    env={**os.environ, "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_OUTPUT": output.name},
                )
                self.assertEqual(ran.returncode, 0, ran)
            first, second = output.read().splitlines()
        self.assertRegex(first, r"^key=lbtest-[0-9a-f]{64}$")
        self.assertEqual(first, second)

    def test_the_scripts_are_clean(self):
        """Every shell script of the project, by shellcheck."""
        scripts = [
            path
            for folder in ["scripts", ".ci"]
            for path in sorted((ROOT / folder).rglob("*"))
            if path.is_file() and path.read_bytes().startswith((b"#!/usr/bin/env bash", b"#!/bin/sh"))
        ]
        self.assertIn(HERE / "gate", scripts)
        checked = subprocess.run(
            ["shellcheck", "--external-sources", *map(str, scripts)],
            capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
        )
        self.assertEqual(checked.returncode, 0, checked.stdout)


class Run(unittest.TestCase):
    """The step itself, as a runner starts it, against the embedded ingress."""

    @classmethod
    def setUpClass(cls):
        cls.ingress = subprocess.Popen([LBTEST, "ingress", "--split", "v1=70,v2=30", "--discipline", "round-robin"], stdout=subprocess.PIPE, text=True)
        for line in cls.ingress.stdout:
            if listening := re.search(r"listening on (http://\S+)", line):
                cls.url = listening[1]
                break

    @classmethod
    def tearDownClass(cls):
        cls.ingress.terminate()
        cls.ingress.wait(SECONDS)
        cls.ingress.stdout.close()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.step = step("gate")

    def gate(self, **inputs):
        """(exit status, outputs, step summary, log) of the step with these inputs."""
        inputs = {"executable": LBTEST, **{name.replace("_", "-"): value for name, value in inputs.items()}}
        variables = {name: inputs.get(key, "") for key, name in inputs_of(self.step).items()}
        (self.folder / "temporary").mkdir(exist_ok=True)
        output, summary = self.folder / "output", self.folder / "summary"
        output.write_text("")
        summary.write_text("")
        keep = {name: os.environ[name] for name in ["PATH", "HOME"] if name in os.environ}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self.step["run"]],
            env={
                **keep,
                "LC_ALL": "C.UTF-8",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "RUNNER_TEMP": str(self.folder / "temporary"),
                **variables,
            },
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
        )
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        self.assertEqual(set(outputs), {"verdict", "exit-status", "report"}, ran)
        self.assertEqual(outputs["exit-status"], str(ran.returncode), ran)
        return ran.returncode, outputs, summary.read_text(), ran.stdout + ran.stderr

    def test_a_split_as_configured_passes(self):
        status, outputs, summary, log = self.gate(url=self.url, expect="v1=70,v2=30")
        self.assertEqual((status, outputs["verdict"]), (0, "pass"), log)
        self.assertIn("PASS", summary)
        self.assertEqual(json.loads(Path(outputs["report"]).read_text())["verdict"], "pass")
        self.assertNotIn("::error", log)

    def test_another_split_fails_the_step_with_one_annotation(self):
        status, outputs, summary, log = self.gate(url=self.url, expect="v1=50,v2=50")
        self.assertEqual((status, outputs["verdict"]), (1, "fail"), log)
        self.assertIn("FAIL", summary)
        self.assertEqual(log.count("::error"), 1, log)

    def test_too_few_requests_are_inconclusive(self):
        status, outputs, _, log = self.gate(url=self.url, expect="v1=70,v2=30", args="-n=99\n\n--seed=3\r\n")
        self.assertEqual((status, outputs["verdict"]), (3, "inconclusive"), log)
        self.assertEqual(json.loads(Path(outputs["report"]).read_text())["requests"]["attributed"], 99)

    def test_nobody_there_is_an_error(self):
        status, outputs, _, log = self.gate(url="http://127.0.0.1:1/", expect="v1=70,v2=30", report="mine.json")
        self.assertEqual((status, outputs["verdict"], outputs["report"]), (4, "error", "mine.json"), log)
        self.assertTrue((self.folder / "mine.json").is_file())

    def test_the_checks_of_a_file_are_judged_together(self):
        (self.folder / "lbtest.toml").write_text(
            f'[target]\nurl = "{self.url}"\n'
            '[[check]]\nname = "right"\nexpect = "v1=70,v2=30"\n'
            '[[check]]\nname = "wrong"\nexpect = "v1=30,v2=70"\n'
        )
        status, outputs, summary, log = self.gate()
        self.assertEqual((status, outputs["verdict"]), (1, "fail"), log)
        self.assertIn("wrong", summary)

    def test_a_report_of_an_earlier_run_is_not_taken_for_this_ones(self):
        self.gate(url=self.url, expect="v1=70,v2=30", report="report.json")
        status, outputs, _, log = self.gate(url=self.url, expect="v1", report="report.json")
        self.assertEqual((status, outputs["verdict"], outputs["report"]), (2, "usage", ""), log)

    def test_a_report_of_an_earlier_run_says_nothing_about_one_that_was_killed(self):
        self.gate(url=self.url, expect="v1=70,v2=30", report="report.json")
        killed = self.folder / "killed"
        killed.write_text('#!/bin/sh\n[ "$1" = --version ] || kill -9 $$\n')
        killed.chmod(0o755)
        for report in ["report.json", "none.json"]:
            status, outputs, _, log = self.gate(
                url=self.url, expect="v1=70,v2=30", report=report, executable=str(killed)
            )
            self.assertEqual((status, outputs["verdict"]), (137, "error"), log)
            self.assertIn("without a report", log)

    def test_what_cannot_be_used_is_refused(self):
        for inputs, told in [
            ({"expect": "v1=70,v1=30"}, "given twice"),
            ({"expect": "v1=70,v2=30", "args": "--expct=1"}, "'--expect'"),
            ({"expect": "v1=70,v2=30", "executable": "no such program"}, "executable names no program"),
            ({"expect": "v1=70,v2=30", "report": "a\nverdict=pass"}, "line break"),
        ]:
            with self.subTest(told):
                status, outputs, _, log = self.gate(url=self.url, **inputs)
                self.assertEqual((status, outputs["verdict"], outputs["report"]), (2, "usage", ""), log)
                self.assertIn(told, log)

    def test_inputs_that_look_like_code_stay_data(self):
        code = f'$(touch {self.folder}/ran)`touch {self.folder}/ran`"; touch {self.folder}/ran; #'
        for name in ["url", "host", "expect", "config", "args", "report", "executable"]:
            with self.subTest(name):
                self.gate(**{"url": self.url, "expect": "v1=70,v2=30", name: code})
                self.assertFalse((self.folder / "ran").exists())
        status, _, _, log = self.gate(url="--version", expect="v1=70,v2=30")
        self.assertNotEqual(status, 0, log)

    def test_without_an_executable_and_without_cargo_the_remedy_is_named(self):
        programs = self.folder / "programs"
        programs.mkdir()
        for name in ["bash", "dirname", "mktemp", "sed", "head"]:
            found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
            (programs / name).symlink_to(found)
        path = os.environ["PATH"]
        os.environ["PATH"] = str(programs)
        try:
            status, _, _, log = self.gate(url=self.url, expect="v1=70,v2=30", executable="")
        finally:
            os.environ["PATH"] = path
        self.assertEqual(status, 2, log)
        self.assertIn("give the input executable", log)


if __name__ == "__main__":
    # scripts/test counts tests on standard output.
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
