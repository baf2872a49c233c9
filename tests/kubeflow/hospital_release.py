"""A hospital on the cluster: the chart installed with Helm, people with roles, buckets at which data arrives."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import helm_python
from builders.bar_images import bar_images
from builders.gates import OPEN_GATE
from builders.resource_documents import document, model_spec, site_spec
from builders.waiting import eventually
from images.node_pods import kubectl
from minio import Minio

from anamnesis.operator.backends.base import Run
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.records import EntryKind, SignerRole
from anamnesis.registry import Log
from anamnesis.registry.signing import make_signer, new_private_key
from anamnesis.storage import Store, open_store

Json = dict[str, Any]
RELEASE_NAMESPACE, MODELS_NAMESPACE, PIPELINES_NAMESPACE = "anamnesis", "wards", "kubeflow"
SECRET, BUCKET = "bucket", "hospital"
SIGNING_SECRET, RUN_SECRET = "anamnesis-signing", "run-key"
OPERATOR_KEY, RUN_KEY = new_private_key(), new_private_key()
SIGNING = {
    "publicKeys": [
        {"name": role.value.lower(), "role": role.value, "key": make_signer(role, private_key).public_key}
        for role, private_key in ((SignerRole.OPERATOR, OPERATOR_KEY), (SignerRole.RUN, RUN_KEY))
    ],
    "runKeySecret": {"name": RUN_SECRET},
}


def object_store_client(environment: Mapping[str, str]) -> Minio:
    """The object store that an environment names."""
    keys = [environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    return Minio(environment["AWS_ENDPOINT_URL"].removeprefix("http://"), *keys, secure=False)


def site(name: str) -> Json:
    arrivals = {"type": "S3", "s3": {"url": f"s3://{BUCKET}/arrivals/{name}"}}
    source = {**arrivals, "credentialsSecret": {"name": SECRET}, "pollInterval": "2s"}
    return document("Site", name, site_spec(source, f"s3://{BUCKET}/stores/{name}"))


def model(name: str, sites: tuple[str, ...], **changes: Any) -> Json:
    """A tiny model; how its pods look, the chart says."""
    spec = {
        "network": {"input": {"size": [32, 32]}, "options": {"width": 8}},
        "training": {"epochs": 8, "batchSize": 8, "learningRate": "0.005"},
        "trigger": {"quietPeriod": "1s", "minimumNewPatients": 0},
        "gate": OPEN_GATE | {"approval": "Required"},
        "registry": {
            "url": f"s3://{BUCKET}/models/{name}",
            "credentialsSecret": {"name": SECRET},
            "signing": SIGNING,
        },
        "splitKey": {"type": "Secret", "secret": {"name": SECRET, "key": "ANAMNESIS_SPLIT_KEY"}},
        "backend": {"type": "Kubeflow", "kubeflow": {"endpoint": f"http://ml-pipeline.{PIPELINES_NAMESPACE}:8888"}},
        **changes,
    }
    return document("ContinualModel", name, model_spec(sites, spec))


@dataclass(frozen=True)
class HospitalRelease:
    """The hospital; ``anamnesis`` is called in the names of its people.

    Attributes:
        helm: of the namespace of the release.
        values: of the release.
        bucket: environment in which this process finds the bucket.
        people: kubeconfig by name.
    """

    helm: helm_python.Config
    values: Json
    bucket: Mapping[str, str]
    people: Mapping[str, Path]

    def apply(self, *documents: Json) -> None:
        """Applies resources, as the editor."""
        text = "\n---\n".join(map(json.dumps, documents))
        kubeconfig_option = f"--kubeconfig={self.people['weber']}"
        kubectl(
            kubeconfig_option, f"--namespace={MODELS_NAMESPACE}", "apply", "--server-side", "--filename=-", text=text
        )

    def anamnesis(self, person: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command line as a person, on this machine."""
        command = [sys.executable, "-m", "anamnesis.cli", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.people[person])}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def upload_images(
        self, site_name: str, seed: int = 0, name: str = "images", classes: tuple[str, ...] = ("left", "right")
    ) -> None:
        """New images arrive at a site; under the same name, in place of the old ones."""
        data = bar_images(site_name, 36, seed, classes, side=32)
        object_store_client(self.bucket).put_object(
            BUCKET, f"arrivals/{site_name}/{name}.npz", BytesIO(data), len(data)
        )

    def get(self, *arguments: str, namespace: str = MODELS_NAMESPACE) -> Any:
        return json.loads(kubectl(f"--namespace={namespace}", "get", *arguments, "--output=json"))

    def status(self, name: str) -> Json:
        status: Json = self.get("continualmodel", name).get("status", {})
        return status

    def condition(self, name: str, kind: str) -> str:
        """Status and reason of a model's condition, as ``True RecentBelowFloor``."""
        conditions = self.status(name).get("conditions", ())
        return next(
            (f"{condition['status']} {condition['reason']}" for condition in conditions if condition["type"] == kind),
            "",
        )

    def wait_for_states(self, name: str, seconds: float = 300, **states: str) -> None:
        """Waits until the model's sites stand so."""

        def site_states() -> dict[str, str]:
            return {site_status["name"]: site_status["state"] for site_status in self.status(name).get("sites", ())}

        try:
            eventually(lambda: states.items() <= site_states().items(), seconds)
        except AssertionError:
            status_text = json.dumps(self.status(name), indent=1)
            logs = [
                kubectl("-n", RELEASE_NAMESPACE, "logs", "--tail=30", pod_name) for pod_name in self.operator_pods()
            ]
            raise AssertionError(f"{states}: {status_text}\n{logs}") from None

    def operator_pods(self) -> list[str]:
        """Names of the operator's pods that are ready."""
        pods = self.get("pods", "--selector=app.kubernetes.io/name=anamnesis-operator", namespace=RELEASE_NAMESPACE)[
            "items"
        ]
        return [
            pod["metadata"]["name"] for pod in pods if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
        ]

    def leader_pod(self) -> str:
        """Name of the pod that holds the Lease; what it adds to its name differs at each start."""
        lease = self.get("lease", "anamnesis-operator", namespace=RELEASE_NAMESPACE)
        return str(lease["spec"].get("holderIdentity", "")).rpartition("-")[0]

    def registry(self, name: str) -> Store:
        return open_store(f"s3://{BUCKET}/models/{name}", self.bucket)

    def approvals_in_log(self, name: str) -> list[tuple[str, str]]:
        """Who approved what was promoted, and why, in the order of a model's log; nothing else was decided."""
        entries = Log(self.registry(name)).entries()
        decided = [entry for entry in entries if entry.kind is not EntryKind.CLAIM]
        approvals, promotions = decided[::2], decided[1::2]
        kinds = {EntryKind.APPROVE: approvals, EntryKind.PROMOTE: promotions}
        assert all(entry.kind is kind for kind, kind_entries in kinds.items() for entry in kind_entries), decided
        assert [entry.subject for entry in approvals] == [entry.subject for entry in promotions]
        return [(entry.author, entry.reason.partition(" [UpdateApproval ")[0]) for entry in approvals]

    def candidate(self, name: str) -> str:
        """Digest of the version of a model that waits for a person."""
        updates = [update["status"] for update in self.get("modelupdates")["items"] if update["spec"]["model"] == name]
        (waiting,) = [status["version"] for status in updates if update_state(status) == "AwaitingApproval"]
        return str(waiting)

    def runs(self, name: str) -> tuple[Run, ...]:
        """All updates that were ever begun for a model, as Kubeflow Pipelines itself knows them."""
        url = os.environ["PIPELINES_URL"]
        runs = KubeflowBackend(url, connect(url, {}), f"anamnesis/{MODELS_NAMESPACE}/{name}").runs("")
        return tuple(run for run in runs if "-evaluation-" not in run.name)

    def step_pods(self, run: Run) -> dict[str, Json]:
        """The pods of a run in which our code runs, by step."""
        pods = self.get("pods", f"--selector=pipeline/runid={run.id}", namespace=PIPELINES_NAMESPACE)["items"]
        names = {_node_name(pod).split(".")[-2]: pod for pod in pods if _node_name(pod).endswith(".executor")}
        assert len(names) == sum(_node_name(pod).endswith(".executor") for pod in pods), "one pod for each step"
        return names


def update_state(status: Json) -> str:
    """The state of an update."""
    return next(
        (condition["reason"] for condition in status.get("conditions", ()) if condition["type"] == "Decided"), ""
    )


def is_running(pod: Json) -> bool:
    """Whether the step in a pod runs in this moment."""
    statuses = [status for status in pod["status"].get("containerStatuses", ()) if status["name"] == "main"]
    return any("running" in status["state"] for status in statuses)


def main_container(pod: Json) -> Json:
    """The container of a pod in which the step runs."""
    match: Json = next(match for match in pod["spec"]["containers"] if match["name"] == "main")
    return match


def _node_name(pod: Json) -> str:
    return str(pod["metadata"]["annotations"].get("workflows.argoproj.io/node-name", ""))


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions)
