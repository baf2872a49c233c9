"""The images as a hospital's node runs them: read-only, and not as root."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
import yaml
from builders.bar_images import bar_images
from builders.gates import OPEN_GATE
from builders.resource_documents import document, model_spec, site_spec
from images.node_pods import kubectl, pod, run_pod

from anamnesis import __version__

pytestmark = [pytest.mark.images, pytest.mark.usefixtures("folder")]
ROOT = Path(__file__).resolve().parents[2]


def test_the_operators_image_answers() -> None:
    assert run_pod(pod("version", "anamnesis-operator", "anamnesis", "--version")).strip() == __version__
    assert "--lease-namespace" in run_pod(pod("help", "anamnesis-operator", "anamnesis", "operator", "--help"))


def test_a_pod_runs_as_nobody_on_a_root_it_cannot_write() -> None:
    code = "import os, pathlib; print(os.getuid()); pathlib.Path('/opt/anamnesis/x').touch()"
    script = f'python -c "{code}" 2>&1; true'
    text = run_pod(pod("nobody", "anamnesis-operator", "sh", "-c", script))
    assert text.startswith("65532\n")
    assert "Read-only file system" in text


def test_the_training_image_has_what_steps_need() -> None:
    code = "import torch, monai, kfp.dsl.executor_main; print(torch.version.cuda, monai.__version__)"
    assert run_pod(pod("learner", "anamnesis-training", "sh", "-c", f"python3 -c '{code}'")).startswith("1")


def test_a_site_is_learned_in_the_training_image() -> None:
    changes = {
        "network": {"input": {"size": [16, 16]}, "options": {"width": 8}},
        "training": {"epochs": 1, "batchSize": 8},
        "gate": OPEN_GATE,
        "registry": {"url": "/tmp/registry"},
    }
    site = document("Site", "north", site_spec({"type": "Folder", "folder": {"path": "/site"}}, "/tmp/images"))
    resources = yaml.safe_dump_all([site, document("ContinualModel", "chest", model_spec(["north"], changes))])
    data = {"images.npz": b64encode(bar_images("north")).decode()}
    for name, content in (("model", {"data": {"model.yaml": resources}}), ("site", {"binaryData": data})):
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **content}
        kubectl("apply", "--filename=-", text=json.dumps(config_map))
    volumes = {name: {"configMap": {"name": name}} for name in ("model", "site")}
    command = "cp /model/model.yaml . && anamnesis run -f model.yaml && anamnesis registry verify -f model.yaml"
    text = run_pod(pod("learns", "anamnesis-training", "sh", "-c", command, volumes=volumes), seconds=300)
    assert "promote" in text.lower()


def test_the_operator_of_the_manifests_becomes_ready() -> None:
    kubectl("create", "namespace", "anamnesis")
    kubectl("label", "namespace", "anamnesis", "pod-security.kubernetes.io/enforce=restricted")
    kubectl("apply", "--server-side", "--kustomize", str(ROOT / "manifests/base"))
    kubectl("--namespace=anamnesis", "rollout", "status", "deployment/anamnesis-operator", "--timeout=120s")
    pods = json.loads(kubectl("--namespace=anamnesis", "get", "pods", "--output=json"))["items"]
    logs = [kubectl("--namespace=anamnesis", "logs", pod["metadata"]["name"]) for pod in pods]
    assert len(pods) == 2
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0, 0]
    messages = [json.loads(line)["message"] for log in logs for line in log.splitlines()]
    assert sum("leads" in message for message in messages) == 1, messages
    assert not any("unexpected" in message for message in messages), messages
