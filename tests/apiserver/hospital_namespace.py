"""A hospital on a real API server: a bucket, resources applied as a person would, operators as real processes."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from apiserver.end_state import EndState, end_state
from apiserver.operator_process import OperatorProcess
from apiserver.operators import create_operator_account, free_port
from builders.api_server import ApiServer
from builders.bar_images import bar_images
from builders.gates import OPEN_GATE
from builders.resource_documents import NOTHING, Json, document, model_spec, site_spec
from builders.waiting import eventually
from minio import Minio

from anamnesis.pipelines.run_record import ExecutionState, RunRecord, read_records

LONG_TRAINING = {"training": {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}}
"""Seconds of training, so that a fault finds it in the middle."""
SPLIT_KEY = "k" * 64


@dataclass
class HospitalNamespace:
    """One namespace with a model of two sites, and a bucket.

    Attributes:
        cluster: the API server.
        namespace: the namespace.
        bucket: where the S3 server is, and its keys.
        state_folder: folder for what operators keep.
    """

    cluster: ApiServer
    namespace: str
    bucket: Mapping[str, str]
    state_folder: Path
    processes: list[OperatorProcess] = field(default_factory=list)

    def apply(
        self,
        approval: str = "Automatic",
        sites: tuple[str, ...] = ("north", "south"),
        changes: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Applies the resources, as a person would; ``changes`` replace fields of the model's spec."""
        (self.state_folder / "split.key").write_text(SPLIT_KEY)
        documents = [self.secret(), self.model(approval, changes), *map(self.site, sites)]
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))

    def secret(self) -> Json:
        values = {**self.bucket, "ANAMNESIS_SPLIT_KEY": SPLIT_KEY}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "stringData": values}

    def model(self, approval: str, changes: Mapping[str, Any] = NOTHING) -> Json:
        changed = {
            "network": {"input": {"size": [16, 16]}, "options": {"width": 8}},
            "training": {"epochs": 2, "batchSize": 8, "learningRate": "0.005"},
            "trigger": {"quietPeriod": "1s", "minimumNewPatients": 0},
            "gate": OPEN_GATE | {"approval": approval},
            "registry": {"url": self.registry, "credentialsSecret": {"name": "bucket"}},
            "splitKey": {"type": "File", "file": {"path": str(self.state_folder / "split.key")}},
            "backend": {"type": "Local"},
            **changes,
        }
        return document("ContinualModel", "chest", model_spec(("north", "south"), changed))

    def site(self, name: str) -> Json:
        arrivals = {"type": "S3", "s3": {"url": f"s3://models/{self.namespace}/arrivals/{name}"}}
        source = {**arrivals, "credentialsSecret": {"name": "bucket"}, "pollInterval": "1s"}
        return document("Site", name, site_spec(source, f"s3://models/{self.namespace}/images/{name}"))

    @property
    def registry(self) -> str:
        return f"s3://models/{self.namespace}/chest"

    def end_state(self) -> EndState:
        return end_state(self.registry, self.bucket)

    def kubectl(self, *arguments: str, stdin: str = "", user: str = "admin") -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin, user=user)

    def upload_images(
        self,
        site: str,
        seed: int = 0,
        patients: int = 24,
        name: str = "images",
        classes: tuple[str, str] = ("left", "right"),
    ) -> None:
        """New images arrive at a site; under the same name, in place of the old ones."""
        data = bar_images(site, patients, seed, classes)
        self.minio_client().put_object(
            "models", f"{self.namespace}/arrivals/{site}/{name}.npz", BytesIO(data), len(data)
        )

    def minio_client(self) -> Minio:
        address = self.bucket["AWS_ENDPOINT_URL"].removeprefix("http://")
        return Minio(address, self.bucket["AWS_ACCESS_KEY_ID"], self.bucket["AWS_SECRET_ACCESS_KEY"], secure=False)

    def start_operator(self, identity: str = "one", server: str = "", flags: tuple[str, ...] = ()) -> OperatorProcess:
        """Starts an operator with exactly the rights of the shipped roles; later ``flags`` count more."""
        kubeconfig = create_operator_account(self.cluster, self.namespace, server)
        port = free_port()
        command = [sys.executable, "-m", "anamnesis.cli", "operator"]
        command += [f"--namespace={self.namespace}", f"--lease-namespace={self.namespace}", f"--identity={identity}"]
        command += [f"--port={port}", f"--state={self.state_folder}", "--grace=2", "--lease-duration=3", *flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment["KUBECONFIG"] = str(kubeconfig)
        process = OperatorProcess(
            identity, command, environment=environment, port=port, log=self.state_folder / f"{identity}.log"
        )
        self.processes.append(process)
        return process

    def stop_operators(self) -> None:
        for process in self.processes:
            process.kill()

    def get(self, plural: str, name: str = "") -> Any:
        return self.cluster.request(
            "GET", f"/apis/anamnesis.dev/v1alpha1/namespaces/{self.namespace}/{plural}{'/' if name else ''}{name}"
        )

    def status(self) -> Json:
        status: Json = self.get("continualmodels", "chest").get("status", {})
        return status

    def condition(self, kind: str, plural: str = "continualmodels", name: str = "chest") -> str:
        """Returns status and reason of a condition, as ``False Unreachable``; empty where it is not there."""
        resource = next((item for item in self.get(plural)["items"] if item["metadata"]["name"] == name), {})
        conditions = resource.get("status", {}).get("conditions", ())
        return next(
            (f"{condition['status']} {condition['reason']}" for condition in conditions if condition["type"] == kind),
            "",
        )

    def states(self) -> dict[str, str]:
        return {site["name"]: site["state"] for site in self.status().get("sites", ())}

    def updates(self) -> list[Json]:
        updates: list[Json] = self.get("modelupdates")["items"]
        return sorted(updates, key=lambda update: str(update["metadata"]["creationTimestamp"]))

    def decided_states(self) -> list[str]:
        """The state of each update, in the order of their making."""
        return list(map(decided_state, self.updates()))

    def runs(self) -> list[RunRecord]:
        """The records of all runs that the local back end has begun, oldest first."""
        return list(read_records(self.state_folder / self.namespace / "chest" / "runs"))

    def wait_until_training(self) -> None:
        """Waits until the youngest run is at its longest step."""

        def is_training() -> bool:
            steps = self.runs()[-1].steps if self.runs() else ()
            return any("train" in step.name and step.state is ExecutionState.RUNNING for step in steps)

        eventually(is_training, 60)

    def wait_for_states(self, seconds: float = 120, **states: str) -> None:
        """Waits until the sites stand so."""
        try:
            eventually(lambda: states.items() <= self.states().items(), seconds)
        except AssertionError:
            logs = "\n".join(path.read_text()[-3000:] for path in self.state_folder.glob("*.log"))
            raise AssertionError(f"{states}: {self.states()} {self.status().get('conditions')}\n{logs}") from None


def decided_state(update: Json) -> str:
    """The state of an update as its condition has it; empty where it has none yet."""
    conditions = update.get("status", {}).get("conditions", [])
    return next((condition["reason"] for condition in conditions if condition["type"] == "Decided"), "")


@dataclass(frozen=True)
class ReferenceRun:
    """A model's life in which nothing went wrong: one update of each of two sites, both promoted.

    Attributes:
        hospital: where; its operator was stopped.
        end_state: what is left.
    """

    hospital: HospitalNamespace
    end_state: EndState
