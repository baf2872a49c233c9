"""Runs on a Kubeflow Pipelines server that a test brings to their end: the server is pretended, and what pods do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakes.pipelines_server import PipelinesServer
from fakes.update_pods import simulate_update

from anamnesis.records import decode
from anamnesis.registry.opening import sign_with
from anamnesis.storage import open_store
from anamnesis.updates.requests import UpdateRequest

FINAL = ("SUCCEEDED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class FakePipelinePods:
    """The pods of all runs.

    Attributes:
        server: holds the runs.
        bucket: environment in which registry and stores are found.
    """

    server: PipelinesServer
    bucket: Mapping[str, str]

    @property
    def spec_changes(self) -> dict[str, Any]:
        """To the spec of a model that runs here."""
        key = {"name": "bucket", "key": "ANAMNESIS_SPLIT_KEY"}
        return {
            "backend": {"type": "Kubeflow", "kubeflow": {"endpoint": self.server.url}},
            "splitKey": {"type": "Secret", "secret": key},
        }

    def live_runs(self) -> list[str]:
        """The names of runs that have not ended."""
        with self.server.lock:
            return [run["display_name"] for run in self.server.runs.values() if run["state"] not in FINAL]

    def finish_runs(self) -> None:
        """Each live run does its work and ends."""
        with self.server.lock:
            for run in self.server.runs.values():
                if run["state"] not in FINAL:
                    self._simulate_update(json.loads(run["runtime_config"]["parameters"]["request"]))
                    self.server.put_state(run, "SUCCEEDED")

    def _simulate_update(self, request: Mapping[str, Any]) -> None:
        update_request = decode(UpdateRequest, request, "request")
        registry, site_store = (open_store(url, self.bucket) for url in (update_request.registry, update_request.store))
        registry = sign_with(registry, update_request.signing)
        simulate_update(
            update_request, registry, site_store, content=update_request.site.name, patients=24, quality="0.9"
        )
