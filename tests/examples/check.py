"""Checks the Job and the Workflow beside it, and prints what their pods would run: one JSON list a line.

Packages of PyPI: hera for Argo's types, PyYAML. `kubernetes-validate` is a program of its own.
"""

import json
import pathlib
import re
import sys

import yaml
from hera.workflows import models

HERE = pathlib.Path(__file__).parent
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def unprivileged(pod, container):
    """The restricted standard of Kubernetes for pods, and a read-only root besides."""
    own = container["securityContext"]
    assert all(own.get(key) == value for key, value in RESTRICTED.items()), own
    assert pod["runAsNonRoot"] and pod["runAsUser"] > 0, pod
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, pod


def subset(small, large, where=""):
    """Argo's types drop keys that they do not know: each must come back."""
    if isinstance(small, dict):
        for key, value in small.items():
            assert key in large, f"{where}.{key} is unknown"
            subset(value, large[key], f"{where}.{key}")
    elif isinstance(small, list):
        assert len(small) == len(large), where
        for index, (one, other) in enumerate(zip(small, large)):
            subset(one, other, f"{where}[{index}]")


def job():
    config, job = yaml.safe_load_all((HERE / "kubernetes/job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    unprivileged(pod["securityContext"], container)
    assert job["spec"]["completions"] == len(config["data"])
    for index in range(job["spec"]["completions"]):
        line = [arg.replace("$(INDEX)", str(index)) for arg in container["args"]]
        print(json.dumps([{"spec": config["data"][f"{index}.toml"]}, *line]))


def workflow():
    plain = yaml.safe_load((HERE / "argo/workflow.yaml").read_text())
    parsed = models.Workflow.parse_obj(plain)
    subset(plain, json.loads(parsed.json(by_alias=True, exclude_none=True)))
    spec = plain["spec"]
    templates = {template["name"]: template for template in spec["templates"]}
    ((step,),) = templates[spec["entrypoint"]]["steps"]
    container = templates[step["template"]]["container"]
    unprivileged(spec["securityContext"], container)
    for item in step["withItems"]:
        line = []
        for arg in container["args"]:
            arg = re.sub(r"{{inputs\.parameters\.(\w+)}}", lambda m: item[m[1]], arg)
            assert "{{" not in arg, arg
            line.append(arg)
        print(json.dumps([{}, *line]))


{"job": job, "workflow": workflow}[sys.argv[1]]()
