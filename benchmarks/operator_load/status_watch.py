"""Watches the statuses of models and sites, to know when each describes the spec as it is."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.operator_load.fleet import NAMESPACE
from tests.builders.api_server import ApiServer

_PLURALS = {"ContinualModel": "continualmodels", "Site": "sites"}


class StatusWatch:
    """Records the generation that each status describes, and since when.

    Args:
        server: the API server.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server, self._condition = server, threading.Condition()
        self._generations: dict[tuple[str, str], tuple[int, float]] = {}
        for kind in _PLURALS:
            threading.Thread(target=self._watch, args=(kind,), name=f"watch-{kind}", daemon=True).start()

    def wait_until_all_described(self, count: int, timeout: float) -> float:
        """Waits until this many resources have a status; returns when the last one got it (``time.monotonic``)."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._described_count() >= count, timeout):
                raise TimeoutError(
                    f"after {timeout:g} seconds {self._described_count()} of {count} resources have a status"
                )
            return max(described_at for _, described_at in self._generations.values())

    def wait_until_described(self, kind: str, name: str, generation: int, timeout: float) -> float:
        """Waits until a status describes a generation; returns when it did, or infinity (``time.monotonic``)."""
        with self._condition:
            if self._condition.wait_for(
                lambda: self._generations.get((kind, name), (0, 0.0))[0] >= generation, timeout
            ):
                return self._generations[kind, name][1]
            return float("inf")

    def _described_count(self) -> int:
        return sum(generation > 0 for generation, _ in self._generations.values())

    def _watch(self, kind: str) -> None:
        for event in self._events(kind):
            resource = event["object"]
            name, generation = resource["metadata"]["name"], resource.get("status", {}).get("observedGeneration", 0)
            with self._condition:
                if self._generations.get((kind, name), (-1, 0.0))[0] != generation:
                    self._generations[kind, name] = (generation, time.monotonic())
                    self._condition.notify_all()

    def _events(self, kind: str) -> Iterator[dict[str, Any]]:
        path = f"/apis/anamnesis.dev/v1alpha1/namespaces/{NAMESPACE}/{_PLURALS[kind]}?watch=1&timeoutSeconds=7200"
        return self._server.watch(path)
