"""Runs on a Kubeflow Pipelines server that a test brings to their end: the server is pretended, and what pods do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toys.pipelines_server import PipelinesServer
from toys.pretended import pretend

from anamnesis.records import decode
from anamnesis.storage import open_store
from anamnesis.updates.requests import UpdateRequest

FINAL = ("SUCCEEDED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class Pods:
    """The pods of all runs.

    Attributes:
        server: holds the runs.
        bucket: environment in which registry and stores are found.
    """

    server: PipelinesServer
    bucket: Mapping[str, str]

    @property
    def changes(self) -> dict[str, Any]:
        """To the spec of a model that runs here."""
        key = {"name": "bucket", "key": "ANAMNESIS_SPLIT_KEY"}
        return {
            "backend": {"type": "Kubeflow", "kubeflow": {"endpoint": self.server.url}},
            "splitKey": {"type": "Secret", "secret": key},
        }

    def live(self) -> list[str]:
        """The names of runs that have not ended."""
        with self.server.lock:
            return [run["display_name"] for run in self.server.runs.values() if run["state"] not in FINAL]

    def work(self) -> None:
        """Each live run does its work and ends."""
        with self.server.lock:
            for run in self.server.runs.values():
                if run["state"] not in FINAL:
                    self._update(json.loads(run["runtime_config"]["parameters"]["request"]))
                    self.server.put_state(run, "SUCCEEDED")

    def _update(self, request: Mapping[str, Any]) -> None:
        asked = decode(UpdateRequest, request, "request")
        registry, own = (open_store(url, self.bucket) for url in (asked.registry, asked.store))
        pretend(asked, registry, own, content=asked.site.name, patients=24, quality="0.9")
