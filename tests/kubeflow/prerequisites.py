"""What is there before a release, and who may do what after it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images.node_pods import kubectl, on_node, run_pod
from kubeflow.hospital_release import (
    BUCKET,
    MODELS_NAMESPACE,
    OPERATOR_KEY,
    PIPELINES_NAMESPACE,
    RELEASE_NAMESPACE,
    RUN_KEY,
    RUN_SECRET,
    SECRET,
    SIGNING_SECRET,
    object_store_client,
)

from anamnesis import __version__

RELEASE = "anamnesis"
IMAGES = ("anamnesis-operator", "anamnesis-training")
VALUES: dict[str, Any] = {
    "requireDigests": True,
    "watchNamespaces": [MODELS_NAMESPACE],
    "operator": {"graceSeconds": 5, "podLabels": {"hospital.example/team": "imaging"}},
    "signing": {"secretName": SIGNING_SECRET},
    "pipelines": {"pods": {"gpus": 1, "environment": {"HOSPITAL": "north"}}},
}
"""No networkPolicy: not every network of pods enforces one, a test's mostly not."""
PEOPLE = {"weber": "anamnesis-editor", "rossi": "anamnesis-approver"}
TAG = """
name=docker.io/library/{image}:{version}
digest=$(ctr --namespace k8s.io images list name==$name | awk 'NR == 2 {{ print $3 }}')
ctr --namespace k8s.io images tag --force $name docker.io/library/{image}@$digest >&2
echo $digest
"""


def tag_by_digest(image: str) -> str:
    """Makes an imported image known by its digest too, as one is that was pulled by it; returns the digest."""
    script = TAG.format(image=image, version=__version__)
    return run_pod(on_node(f"digest-of-{image}", "sh", "-ec", script)).split()[-1]


def create_namespaces(bucket: Mapping[str, str]) -> None:
    """Makes the release's namespace, as strict as can be, the models', and what their Secret names."""
    for name in (RELEASE_NAMESPACE, MODELS_NAMESPACE):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        _apply("", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    internal_url = f"http://minio-service.{PIPELINES_NAMESPACE}:9000"
    values = {**bucket, "AWS_ENDPOINT_URL": internal_url, "ANAMNESIS_SPLIT_KEY": "k" * 64}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": values}
    for name in (MODELS_NAMESPACE, PIPELINES_NAMESPACE):  # the operator reads the one, pods of pipelines the other
        _apply(name, secret)
        _apply(name, signing_secret(RUN_SECRET, RUN_KEY))
    _apply(RELEASE_NAMESPACE, signing_secret(SIGNING_SECRET, OPERATOR_KEY))
    if not object_store_client(bucket).bucket_exists(BUCKET):
        object_store_client(bucket).make_bucket(BUCKET)


def signing_secret(name: str, private_key: str) -> dict[str, Any]:
    """A Secret with a private key, as ``anamnesis key signing`` says."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": private_key}}


def advertise_gpus(count: int) -> None:
    """Lets the node say that it has accelerators, as their driver's plugin would."""
    (node,) = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    quantities = {name: {"nvidia.com/gpu": str(count)} for name in ("capacity", "allocatable")}
    change = f"--patch={json.dumps({'status': quantities})}"
    kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", change)


def create_person(folder: Path, name: str, role: str) -> Path:
    """Gives somebody a role in the models' namespace, and nothing else; returns the kubeconfig."""
    namespace_option = f"--namespace={MODELS_NAMESPACE}"
    kubectl(namespace_option, "create", "serviceaccount", name)
    kubectl(
        namespace_option,
        "create",
        "rolebinding",
        name,
        f"--clusterrole={role}",
        f"--serviceaccount={MODELS_NAMESPACE}:{name}",
    )
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--output=json"))
    token = kubectl(namespace_option, "create", "token", name, "--duration=3h").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def _apply(namespace: str, document: dict[str, Any]) -> None:
    namespace_option = [f"--namespace={namespace}"] if namespace else []
    kubectl(*namespace_option, "apply", "--server-side", "--filename=-", text=json.dumps(document))
