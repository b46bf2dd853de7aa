"""The objects of the manifests and of the chart, and what a cluster would say to them."""

import json
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml

from fields import JOB
from programs import program

HERE = Path(__file__).resolve().parent
CHART = HERE / "chart"
KUBERNETES = kubernetes_validate.latest_version()

CONFIG = """[serve]
interval = "off"

[target]
url = "http://ingress.example/"
host = "shop.example"

[[check]]
name = "shop"
expect = { v1 = 70, v2 = 30 }
"""
# Everything that the chart can make.
EVERYTHING = {
    "config": CONFIG,
    "serve": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "networkPolicy": {
        "enabled": True,
        "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}, {"to": [{"namespaceSelector": {}}]}],
    },
    "cronJob": {"enabled": True},
    "job": {"enabled": True, "args": ["--expect=v1=70,v2=30"]},
}


def helm(*arguments, values=None):
    """What helm says, with `values` for the chart."""
    given = ["-f", "-"] if values is not None else []
    return subprocess.run(
        [program("helm"), *map(str, arguments), *given],
        input=None if values is None else json.dumps(values),
        capture_output=True,
        text=True,
    )


def rendered(values, *options):
    """The objects of the chart."""
    ran = helm("template", "shop", CHART, *options, values=values)
    assert ran.returncode == 0, ran
    return [document for document in yaml.safe_load_all(ran.stdout) if document]


def manifests():
    """(file, object) for every object of every manifest."""
    for path in sorted(HERE.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def documents():
    """(file, object) for every object of every manifest, and (`chart`, object) for all that the chart makes."""
    yield from manifests()
    for document in rendered(EVERYTHING):
        yield CHART.name, document


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
