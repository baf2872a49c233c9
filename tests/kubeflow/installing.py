"""What is there before a release, and who may do what after it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images.pods import kubectl, on_node, printed
from kubeflow.house import BUCKET, HOME, PIPELINES, SECRET, WARDS, store_of

from anamnesis import __version__

RELEASE = "anamnesis"
IMAGES = ("anamnesis-operator", "anamnesis-training")
VALUES: dict[str, Any] = {
    "requireDigests": True,
    "watchNamespaces": [WARDS],
    "operator": {"graceSeconds": 5, "podLabels": {"hospital.example/team": "imaging"}},
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


def digest(image: str) -> str:
    """Makes an imported image known by its digest too, as one is that was pulled by it; returns the digest."""
    script = TAG.format(image=image, version=__version__)
    return printed(on_node(f"digest-of-{image}", "sh", "-ec", script)).split()[-1]


def namespaces(bucket: Mapping[str, str]) -> None:
    """Makes the release's namespace, as strict as can be, the models', and what their Secret names."""
    for name in (HOME, WARDS):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        _apply("", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    inside = f"http://minio-service.{PIPELINES}:9000"
    values = {**bucket, "AWS_ENDPOINT_URL": inside, "ANAMNESIS_SPLIT_KEY": "k" * 64}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": values}
    for name in (WARDS, PIPELINES):  # the operator reads the one, pods of pipelines the other
        _apply(name, secret)
    if not store_of(bucket).bucket_exists(BUCKET):
        store_of(bucket).make_bucket(BUCKET)


def give_gpus(count: int) -> None:
    """Lets the node say that it has accelerators, as their driver's plugin would."""
    (node,) = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    found = {name: {"nvidia.com/gpu": str(count)} for name in ("capacity", "allocatable")}
    change = f"--patch={json.dumps({'status': found})}"
    kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", change)


def person(folder: Path, name: str, role: str) -> Path:
    """Gives somebody a role in the models' namespace, and nothing else; returns the kubeconfig."""
    here = f"--namespace={WARDS}"
    kubectl(here, "create", "serviceaccount", name)
    kubectl(here, "create", "rolebinding", name, f"--clusterrole={role}", f"--serviceaccount={WARDS}:{name}")
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--output=json"))
    token = kubectl(here, "create", "token", name, "--duration=3h").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def _apply(namespace: str, found: dict[str, Any]) -> None:
    where = [f"--namespace={namespace}"] if namespace else []
    kubectl(*where, "apply", "--server-side", "--filename=-", text=json.dumps(found))
