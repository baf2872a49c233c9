"""Pods as a strict hospital lets them in, and one that it would not, by kubectl in PATH."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from toys.waiting import eventually

from anamnesis import __version__

Json = dict[str, Any]
NOTHING: Mapping[str, Json] = {}


def kubectl(*arguments: str, text: str = "") -> str:
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def pod(name: str, image: str, *command: str, volumes: Mapping[str, Json] = NOTHING) -> Json:
    """A pod without any right, on a root file system that nobody writes to; a volume is mounted under its name."""
    found = {"tmp": {"emptyDir": {}}, **volumes}
    container = {
        "name": "main",
        "image": f"{image}:{__version__}",
        "imagePullPolicy": "Never",
        "command": list(command),
        "volumeMounts": [{"name": one, "mountPath": f"/{one}"} for one in found],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": one, **kind} for one, kind in found.items()],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def on_node(name: str, *command: str) -> Json:
    """A pod that is root on its node: what a person at the machine would do."""
    wanted = pod(name, "anamnesis-operator", "/usr/sbin/chroot", "/node", *command)
    wanted["spec"] |= {"securityContext": {}, "volumes": [{"name": "node", "hostPath": {"path": "/"}}]}
    root = {"privileged": True, "runAsUser": 0}
    mounts = [{"name": "node", "mountPath": "/node"}]
    wanted["spec"]["containers"][0] |= {"securityContext": root, "volumeMounts": mounts}
    return wanted


def printed(wanted: Json, seconds: float = 120) -> str:
    """Runs a pod to its good end and returns what it printed."""
    name = wanted["metadata"]["name"]
    kubectl("apply", "--filename=-", text=json.dumps(wanted))

    def phase() -> str:
        return kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")

    eventually(lambda: phase() in ("Succeeded", "Failed"), seconds)
    text = kubectl("logs", name)
    assert phase() == "Succeeded", text + kubectl("describe", "pod", name)
    kubectl("delete", "pod", name, "--wait=false")
    return text
