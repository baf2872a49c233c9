"""Pods as a strict hospital lets them in, and one that it would not, by kubectl in PATH."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from builders.waiting import eventually

from anamnesis import __version__

Json = dict[str, Any]
NOTHING: Mapping[str, Json] = {}


def kubectl(*arguments: str, text: str = "") -> str:
    result = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stderr}"
    return result.stdout


def pod(name: str, image: str, *command: str, volumes: Mapping[str, Json] = NOTHING) -> Json:
    """A pod without any right, on a root file system that nobody writes to; a volume is mounted under its name."""
    mounted_volumes = {"tmp": {"emptyDir": {}}, **volumes}
    container = {
        "name": "main",
        "image": f"{image}:{__version__}",
        "imagePullPolicy": "Never",
        "command": list(command),
        "volumeMounts": [{"name": volume_name, "mountPath": f"/{volume_name}"} for volume_name in mounted_volumes],
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
        "volumes": [{"name": volume_name, **kind} for volume_name, kind in mounted_volumes.items()],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def on_node(name: str, *command: str) -> Json:
    """A pod that is root on its node: what a person at the machine would do."""
    manifest = pod(name, "anamnesis-operator", "/usr/sbin/chroot", "/node", *command)
    manifest["spec"] |= {"securityContext": {}, "volumes": [{"name": "node", "hostPath": {"path": "/"}}]}
    root = {"privileged": True, "runAsUser": 0}
    mounts = [{"name": "node", "mountPath": "/node"}]
    manifest["spec"]["containers"][0] |= {"securityContext": root, "volumeMounts": mounts}
    return manifest


def run_pod(manifest: Json, seconds: float = 120) -> str:
    """Runs a pod to its good end and returns what it printed."""
    name = manifest["metadata"]["name"]
    kubectl("apply", "--filename=-", text=json.dumps(manifest))

    def phase() -> str:
        return kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")

    eventually(lambda: phase() in ("Succeeded", "Failed"), seconds)
    text = kubectl("logs", name)
    assert phase() == "Succeeded", text + kubectl("describe", "pod", name)
    kubectl("delete", "pod", name, "--wait=false")
    return text
