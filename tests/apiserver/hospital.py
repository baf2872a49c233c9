"""A hospital on a real API server: a bucket, resources applied as a person would, operators as real processes."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from apiserver.operators import account, free_port
from minio import Minio
from toys.apiserver import ApiServer
from toys.bars import bars
from toys.waiting import eventually

SPACE_OF_SITE = "s3://models/{space}/arrivals/{site}"
RESOURCES = """
apiVersion: v1
kind: Secret
metadata: {{name: bucket}}
stringData: {secret}
---
apiVersion: anamnesis.dev/v1alpha1
kind: ContinualModel
metadata: {{name: chest}}
spec:
  network: {{input: {{size: [16, 16]}}, width: 8}}
  method: {{name: Finetune}}
  training: {{epochs: 2, batchSize: 8, learningRate: "0.005"}}
  sites: [{{name: north}}, {{name: south}}]
  trigger: {{quietPeriod: 1s}}
  gate: {{floor: "0.1", margin: "1", approval: {approval}}}
  registry: {{url: "s3://models/{space}/chest", credentialsSecret: {{name: bucket}}}}
  splitKey: {{type: File, file: {{path: "{state}/split.key"}}}}
  backend: {{type: Local}}
"""
SITE = """
---
apiVersion: anamnesis.dev/v1alpha1
kind: Site
metadata: {{name: {site}}}
spec:
  source: {{type: S3, s3: {{url: "s3://models/{space}/arrivals/{site}"}}, credentialsSecret: {{name: bucket}}, pollInterval: 1s}}
  modalities: [OT]
  task: {{name: bars, type: Classification, classes: [left, right], primaryMetric: Accuracy}}
"""  # noqa: E501


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
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def apply(self, approval: str = "Automatic", sites: tuple[str, ...] = ("north", "south")) -> None:
        """Applies the resources, as a person would."""
        secret, split = json.dumps(dict(self.bucket)), self.state / "split.key"
        split.write_text("k" * 64)
        text = RESOURCES.format(secret=secret, approval=approval, space=self.space, state=self.state)
        text += "".join(SITE.format(site=site, space=self.space) for site in sites)
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def kubectl(self, *arguments: str, stdin: str = "", user: str = "admin") -> str:
        return self.cluster.kubectl(f"--namespace={self.space}", *arguments, stdin=stdin, user=user)

    def drop(self, site: str, seed: int = 0, patients: int = 24) -> None:
        """New images arrive at a site, in place of the old ones."""
        data = bars(site, patients, seed)
        self.minio().put_object("models", f"{self.space}/arrivals/{site}/images.npz", BytesIO(data), len(data))

    def minio(self) -> Minio:
        address = self.bucket["AWS_ENDPOINT_URL"].removeprefix("http://")
        return Minio(address, self.bucket["AWS_ACCESS_KEY_ID"], self.bucket["AWS_SECRET_ACCESS_KEY"], secure=False)

    def operator(self, identity: str = "one", server: str = "") -> "subprocess.Popen[bytes]":
        """Starts an operator with exactly the rights of the shipped roles."""
        kubeconfig = account(self.cluster, self.space, server)
        port = free_port()
        command = [sys.executable, "-m", "anamnesis.cli", "operator"]
        command += [f"--namespace={self.space}", f"--lease-namespace={self.space}", f"--identity={identity}"]
        command += [f"--port={port}", f"--state={self.state}", "--grace=2", "--lease-duration=3"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (self.state / f"{identity}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**environment, "KUBECONFIG": str(kubeconfig)}
            )
        process.port = port  # type: ignore[attr-defined]
        self.processes.append(process)
        return process

    def scrape(self, process: "subprocess.Popen[bytes]") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=5) as answer:  # type: ignore[attr-defined]
            text: str = answer.read().decode()
            return text

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def get(self, plural: str, name: str = "") -> Any:
        return self.cluster.request(
            "GET", f"/apis/anamnesis.dev/v1alpha1/namespaces/{self.space}/{plural}{'/' if name else ''}{name}"
        )

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("continualmodels", "chest").get("status", {})
        return found

    def states(self) -> dict[str, str]:
        return {site["name"]: site["state"] for site in self.status().get("sites", ())}

    def updates(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("modelupdates")["items"]
        return found

    def decided(self) -> list[str]:
        """The state of each update, in the order of their making."""
        found = sorted(self.updates(), key=lambda one: str(one["metadata"]["creationTimestamp"]))
        conditions = [one.get("status", {}).get("conditions", []) for one in found]
        return [next((c["reason"] for c in some if c["type"] == "Decided"), "") for some in conditions]

    def wait(self, seconds: float = 90, **states: str) -> None:
        """Waits until the sites stand so."""
        try:
            eventually(lambda: states.items() <= self.states().items(), seconds)
        except AssertionError:
            logs = "\n".join(path.read_text()[-3000:] for path in self.state.glob("*.log"))
            raise AssertionError(f"{states}: {self.states()} {self.status().get('conditions')}\n{logs}") from None
