"""The fields of the custom resources that the manifests use, as their projects publish them.

Kubernetes ignores a field that a custom resource does not know, or refuses the object, depending on the
cluster: a misspelt one is found here. A leaf is `str`, `int`, `bool` or a tuple of the values allowed;
`MAP` is any map of texts, and `JOB` is a Job's spec, which is checked as a Job.

Sources: argo-rollouts, manifests/crds/analysis-template-crd.yaml and docs/analysis/web.md; flagger,
artifacts/flagger/crd.yaml (canaries.flagger.app); prometheus-operator,
example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml.
"""

MAP = object()
JOB = object()
NUMBER = (int, str)

_ARGO_METRIC = {
    "name": str,
    "interval": str,
    "initialDelay": str,
    "count": NUMBER,
    "failureLimit": NUMBER,
    "inconclusiveLimit": NUMBER,
    "consecutiveErrorLimit": NUMBER,
    "successCondition": str,
    "failureCondition": str,
    "provider": {
        "job": {"metadata": {"annotations": MAP, "labels": MAP}, "spec": JOB},
        "web": {
            "url": str,
            "method": str,
            "body": str,
            "timeoutSeconds": int,
            "headers": [{"key": str, "value": str}],
            "jsonPath": str,
            "insecure": bool,
        },
    },
}

_REFERENCE = {"apiVersion": str, "kind": str, "name": str}

RESOURCES = {
    ("argoproj.io/v1alpha1", "AnalysisTemplate"): {
        "args": [
            {
                "name": str,
                "value": str,
                "valueFrom": {"secretKeyRef": {"name": str, "key": str}, "fieldRef": {"fieldPath": str}},
            }
        ],
        "metrics": [_ARGO_METRIC],
        "dryRun": [{"metricName": str}],
        "measurementRetention": [{"metricName": str, "limit": int}],
    },
    ("flagger.app/v1beta1", "Canary"): {
        "provider": str,
        "metricsServer": str,
        "progressDeadlineSeconds": int,
        "targetRef": _REFERENCE,
        "autoscalerRef": _REFERENCE,
        "ingressRef": _REFERENCE,
        "service": {"name": str, "port": int, "portName": str, "targetPort": NUMBER, "portDiscovery": bool},
        "skipAnalysis": bool,
        "revertOnDeletion": bool,
        "analysis": {
            "interval": str,
            "iterations": int,
            "threshold": int,
            "maxWeight": int,
            "stepWeight": int,
            "stepWeightPromotion": int,
            "mirror": bool,
            "mirrorWeight": int,
            "webhooks": [{"name": str, "type": str, "url": str, "timeout": str, "metadata": MAP}],
        },
    },
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        "jobLabel": str,
        "selector": {"matchLabels": MAP},
        "namespaceSelector": {"any": bool, "matchNames": [str]},
        "endpoints": [
            {
                "port": str,
                "path": str,
                "scheme": str,
                "interval": str,
                "scrapeTimeout": str,
                "authorization": {"type": str, "credentials": {"name": str, "key": str, "optional": bool}},
            }
        ],
    },
}


def problems(place, value, fields):
    """What is wrong with `value`, which should have these `fields`: one sentence each."""
    if fields is JOB:
        return
    if fields is MAP:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            yield f"{place} is no map of texts"
    elif isinstance(fields, dict):
        if not isinstance(value, dict):
            yield f"{place} is no map"
            return
        for name, part in value.items():
            if name in fields:
                yield from problems(f"{place}.{name}", part, fields[name])
            else:
                yield f"{place}.{name} is no field"
    elif isinstance(fields, list):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for index, part in enumerate(value):
            yield from problems(f"{place}[{index}]", part, fields[0])
    elif not isinstance(value, fields) or (isinstance(value, bool) and fields is not bool):
        yield f"{place} is of another type"
