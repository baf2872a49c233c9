"""A hospital on a real API server: a bucket, resources applied as a person would, operators as real processes."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from apiserver.endstate import EndState, end_state
from apiserver.operators import account, free_port
from apiserver.process import Process
from minio import Minio
from toys.apiserver import ApiServer
from toys.bars import bars
from toys.documents import NOTHING, Json, document, model_spec, site_spec
from toys.waiting import eventually

from anamnesis.pipelines.record import RunRecord, State, read_records

LONG = {"training": {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}}
"""Seconds of training, so that a fault finds it in the middle."""
SPLIT_KEY = "k" * 64


@dataclass
class Hospital:
    """One namespace with a model of two sites, and a bucket.

    Attributes:
        cluster: the API server.
        space: the namespace.
        bucket: where the S3 server is, and its keys.
        state: folder for what operators keep.
    """

    cluster: ApiServer
    space: str
    bucket: Mapping[str, str]
    state: Path
    processes: list[Process] = field(default_factory=list)

    def apply(
        self,
        approval: str = "Automatic",
        sites: tuple[str, ...] = ("north", "south"),
        changes: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Applies the resources, as a person would; ``changes`` replace fields of the model's spec."""
        (self.state / "split.key").write_text(SPLIT_KEY)
        documents = [self.secret(), self.model(approval, changes), *map(self.site, sites)]
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))

    def secret(self) -> Json:
        values = {**self.bucket, "ANAMNESIS_SPLIT_KEY": SPLIT_KEY}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "stringData": values}

    def model(self, approval: str, changes: Mapping[str, Any] = NOTHING) -> Json:
        changed = {
            "network": {"input": {"size": [16, 16]}, "width": 8},
            "training": {"epochs": 2, "batchSize": 8, "learningRate": "0.005"},
            "trigger": {"quietPeriod": "1s"},
            "gate": {"floor": "0.1", "margin": "1", "approval": approval},
            "registry": {"url": self.registry, "credentialsSecret": {"name": "bucket"}},
            "splitKey": {"type": "File", "file": {"path": str(self.state / "split.key")}},
            "backend": {"type": "Local"},
            **changes,
        }
        return document("ContinualModel", "chest", model_spec(("north", "south"), changed))

    def site(self, name: str) -> Json:
        arrivals = {"type": "S3", "s3": {"url": f"s3://models/{self.space}/arrivals/{name}"}}
        source = {**arrivals, "credentialsSecret": {"name": "bucket"}, "pollInterval": "1s"}
        return document("Site", name, site_spec(source, f"s3://models/{self.space}/images/{name}"))

    @property
    def registry(self) -> str:
        return f"s3://models/{self.space}/chest"

    def end_state(self) -> EndState:
        return end_state(self.registry, self.bucket)

    def kubectl(self, *arguments: str, stdin: str = "", user: str = "admin") -> str:
        return self.cluster.kubectl(f"--namespace={self.space}", *arguments, stdin=stdin, user=user)

    def drop(
        self,
        site: str,
        seed: int = 0,
        patients: int = 24,
        name: str = "images",
        classes: tuple[str, str] = ("left", "right"),
    ) -> None:
        """New images arrive at a site; under the same name, in place of the old ones."""
        data = bars(site, patients, seed, classes)
        self.minio().put_object("models", f"{self.space}/arrivals/{site}/{name}.npz", BytesIO(data), len(data))

    def minio(self) -> Minio:
        address = self.bucket["AWS_ENDPOINT_URL"].removeprefix("http://")
        return Minio(address, self.bucket["AWS_ACCESS_KEY_ID"], self.bucket["AWS_SECRET_ACCESS_KEY"], secure=False)

    def operator(self, identity: str = "one", server: str = "", flags: tuple[str, ...] = ()) -> Process:
        """Starts an operator with exactly the rights of the shipped roles; later ``flags`` count more."""
        kubeconfig = account(self.cluster, self.space, server)
        port = free_port()
        command = [sys.executable, "-m", "anamnesis.cli", "operator"]
        command += [f"--namespace={self.space}", f"--lease-namespace={self.space}", f"--identity={identity}"]
        command += [f"--port={port}", f"--state={self.state}", "--grace=2", "--lease-duration=3", *flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment["KUBECONFIG"] = str(kubeconfig)
        process = Process(identity, command, environment, port, self.state / f"{identity}.log")
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            process.kill()

    def get(self, plural: str, name: str = "") -> Any:
        return self.cluster.request(
            "GET", f"/apis/anamnesis.dev/v1alpha1/namespaces/{self.space}/{plural}{'/' if name else ''}{name}"
        )

    def status(self) -> Json:
        found: Json = self.get("continualmodels", "chest").get("status", {})
        return found

    def condition(self, kind: str, plural: str = "continualmodels", name: str = "chest") -> str:
        """Returns status and reason of a condition, as ``False Unreachable``; empty where it is not there."""
        there = next((one for one in self.get(plural)["items"] if one["metadata"]["name"] == name), {})
        found = there.get("status", {}).get("conditions", ())
        return next((f"{one['status']} {one['reason']}" for one in found if one["type"] == kind), "")

    def states(self) -> dict[str, str]:
        return {site["name"]: site["state"] for site in self.status().get("sites", ())}

    def updates(self) -> list[Json]:
        found: list[Json] = self.get("modelupdates")["items"]
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def decided(self) -> list[str]:
        """The state of each update, in the order of their making."""
        conditions = [one.get("status", {}).get("conditions", []) for one in self.updates()]
        return [next((c["reason"] for c in some if c["type"] == "Decided"), "") for some in conditions]

    def runs(self) -> list[RunRecord]:
        """The records of all runs that the local back end has begun, oldest first."""
        return list(read_records(self.state / self.space / "chest" / "runs"))

    def until_training(self) -> None:
        """Waits until the youngest run is at its longest step."""

        def trains() -> bool:
            steps = self.runs()[-1].steps if self.runs() else ()
            return any("train" in step.name and step.state is State.RUNNING for step in steps)

        eventually(trains, 60)

    def wait(self, seconds: float = 120, **states: str) -> None:
        """Waits until the sites stand so."""
        try:
            eventually(lambda: states.items() <= self.states().items(), seconds)
        except AssertionError:
            logs = "\n".join(path.read_text()[-3000:] for path in self.state.glob("*.log"))
            raise AssertionError(f"{states}: {self.states()} {self.status().get('conditions')}\n{logs}") from None


@dataclass(frozen=True)
class Life:
    """A model's life in which nothing went wrong: one update of each of two sites, both promoted.

    Attributes:
        hospital: where; its operator was stopped.
        end: what is left.
    """

    hospital: Hospital
    end: EndState
