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
from images.pods import kubectl
from minio import Minio
from toys.bars import bars
from toys.documents import document, model_spec, site_spec
from toys.waiting import eventually

from anamnesis.operator.backends.base import Run
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.records import EntryKind
from anamnesis.registry import Log
from anamnesis.storage import Store, open_store

Json = dict[str, Any]
HOME, WARDS, PIPELINES = "anamnesis", "wards", "kubeflow"
SECRET, BUCKET = "bucket", "hospital"


def store_of(environment: Mapping[str, str]) -> Minio:
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
        "network": {"input": {"size": [32, 32]}, "width": 8},
        "training": {"epochs": 8, "batchSize": 8, "learningRate": "0.005"},
        "trigger": {"quietPeriod": "1s"},
        "gate": {"floor": "0.1", "margin": "1", "approval": "Required"},
        "registry": {"url": f"s3://{BUCKET}/models/{name}", "credentialsSecret": {"name": SECRET}},
        "splitKey": {"type": "Secret", "secret": {"name": SECRET, "key": "ANAMNESIS_SPLIT_KEY"}},
        "backend": {"type": "Kubeflow", "kubeflow": {"endpoint": f"http://ml-pipeline.{PIPELINES}:8888"}},
        **changes,
    }
    return document("ContinualModel", name, model_spec(sites, spec))


@dataclass(frozen=True)
class House:
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
        who = f"--kubeconfig={self.people['weber']}"
        kubectl(who, f"--namespace={WARDS}", "apply", "--server-side", "--filename=-", text=text)

    def anamnesis(self, person: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command line as a person, on this machine."""
        command = [sys.executable, "-m", "anamnesis.cli", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.people[person])}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def drop(
        self, place: str, seed: int = 0, name: str = "images", classes: tuple[str, ...] = ("left", "right")
    ) -> None:
        """New images arrive at a site; under the same name, in place of the old ones."""
        data = bars(place, 36, seed, classes, side=32)
        store_of(self.bucket).put_object(BUCKET, f"arrivals/{place}/{name}.npz", BytesIO(data), len(data))

    def get(self, *what: str, namespace: str = WARDS) -> Any:
        return json.loads(kubectl(f"--namespace={namespace}", "get", *what, "--output=json"))

    def status(self, name: str) -> Json:
        found: Json = self.get("continualmodel", name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> str:
        """Status and reason of a model's condition, as ``True RecentBelowFloor``."""
        found = self.status(name).get("conditions", ())
        return next((f"{one['status']} {one['reason']}" for one in found if one["type"] == kind), "")

    def wait(self, name: str, seconds: float = 300, **states: str) -> None:
        """Waits until the model's sites stand so."""

        def found() -> dict[str, str]:
            return {one["name"]: one["state"] for one in self.status(name).get("sites", ())}

        try:
            eventually(lambda: states.items() <= found().items(), seconds)
        except AssertionError:
            told = json.dumps(self.status(name), indent=1)
            logs = [kubectl("-n", HOME, "logs", "--tail=30", one) for one in self.operators()]
            raise AssertionError(f"{states}: {told}\n{logs}") from None

    def operators(self) -> list[str]:
        """Names of the operator's pods that are ready."""
        pods = self.get("pods", "--selector=app.kubernetes.io/name=anamnesis-operator", namespace=HOME)["items"]
        return [one["metadata"]["name"] for one in pods if _ready(one) and "deletionTimestamp" not in one["metadata"]]

    def leader(self) -> str:
        """Name of the pod that holds the Lease; what it adds to its name differs at each start."""
        found = self.get("lease", "anamnesis-operator", namespace=HOME)
        return str(found["spec"].get("holderIdentity", "")).rpartition("-")[0]

    def registry(self, name: str) -> Store:
        return open_store(f"s3://{BUCKET}/models/{name}", self.bucket)

    def log(self, name: str) -> list[tuple[str, str]]:
        """Who approved what was promoted, and why, in the order of a model's log; nothing else was decided."""
        entries = Log(self.registry(name)).entries()
        decided = [one for one in entries if one.kind is not EntryKind.CLAIM]
        approvals, promotions = decided[::2], decided[1::2]
        kinds = {EntryKind.APPROVE: approvals, EntryKind.PROMOTE: promotions}
        assert all(one.kind is kind for kind, some in kinds.items() for one in some), decided
        assert [one.subject for one in approvals] == [one.subject for one in promotions]
        return [(one.who, one.why.partition(" [UpdateApproval ")[0]) for one in approvals]

    def candidate(self, name: str) -> str:
        """Digest of the version of a model that waits for a person."""
        updates = [one["status"] for one in self.get("modelupdates")["items"] if one["spec"]["model"] == name]
        (waiting,) = [one["version"] for one in updates if decided(one) == "AwaitingApproval"]
        return str(waiting)

    def runs(self, name: str) -> tuple[Run, ...]:
        """All updates that were ever begun for a model, as Kubeflow Pipelines itself knows them."""
        url = os.environ["PIPELINES_URL"]
        found = KubeflowBackend(url, connect(url, {}), f"anamnesis/{WARDS}/{name}").runs("")
        return tuple(run for run in found if "-evaluation-" not in run.name)

    def steps(self, run: Run) -> dict[str, Json]:
        """The pods of a run in which our code runs, by step."""
        found = self.get("pods", f"--selector=pipeline/runid={run.id}", namespace=PIPELINES)["items"]
        names = {_node(one).split(".")[-2]: one for one in found if _node(one).endswith(".executor")}
        assert len(names) == sum(_node(one).endswith(".executor") for one in found), "one pod for each step"
        return names


def decided(status: Json) -> str:
    """The state of an update."""
    return next((one["reason"] for one in status.get("conditions", ()) if one["type"] == "Decided"), "")


def runs_now(found: Json) -> bool:
    """Whether the step in a pod runs in this moment."""
    statuses = [one for one in found["status"].get("containerStatuses", ()) if one["name"] == "main"]
    return any("running" in one["state"] for one in statuses)


def container(found: Json) -> Json:
    """The container of a pod in which the step runs."""
    one: Json = next(one for one in found["spec"]["containers"] if one["name"] == "main")
    return one


def _node(found: Json) -> str:
    return str(found["metadata"]["annotations"].get("workflows.argoproj.io/node-name", ""))


def _ready(found: Json) -> bool:
    conditions = found["status"].get("conditions", ())
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)
