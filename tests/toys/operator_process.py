"""A real operator process whose reconciling is a toy: it writes into the status who saw which generation.

python -m toys.operator_process KUBECONFIG OPTIONS_AS_JSON
"""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.conditions import Condition, merge
from anamnesis.operator.api.status import Status
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure
from anamnesis.operator.runtime.kubernetes_api import configuration
from anamnesis.operator.runtime.options import LeaseTimes, Options
from anamnesis.operator.runtime.process import serve
from anamnesis.operator.runtime.reconcile_key import Key, Reconcile


class ToyObserver:
    """Counts."""

    def __init__(self, resources: Callable[[], Iterable[Resource]]) -> None:
        self._resources = resources
        self.facts: dict[str, Any] = {"reconciled": 0, "alive": []}

    def reconciled(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        self.facts["reconciled"] += 1

    def queue_depth(self, depth: int) -> None:
        self.facts["depth"] = depth

    def unread(self, counts: Mapping[str, int]) -> None:
        self.facts["unread"] = counts

    def watch_heard(self, kind: str) -> None:
        self.facts["alive"] = sorted({*self.facts["alive"], kind})

    def leading(self, leads: bool) -> None:
        self.facts["leads"] = leads

    def collect(self) -> bytes:
        return json.dumps({**self.facts, "resources": len(list(self._resources()))}).encode()


def toy(identity: str, seconds: float) -> Callable[[Cluster, Cache, Callable[[], datetime]], Reconcile]:
    """Makes a reconcile that takes ``seconds``, and fails where a model is labelled so."""

    def make(cluster: Cluster, cache: Cache, clock: Callable[[], datetime]) -> Reconcile:
        def reconcile(key: Key) -> timedelta | None:
            kind = ContinualModel if key.kind == "ContinualModel" else Site
            resource = cluster.get(kind, key.namespace, key.name)
            if resource is None:
                return None
            logging.getLogger("anamnesis.toy").info("begins", extra={"key": str(key)})
            time.sleep(seconds)
            if "fail" in resource.metadata.labels:
                raise ValueError(f"a library quotes {resource.spec}")
            seen = Condition(type="Ready", status="True", reason="Seen", message=f"by {identity}")
            cluster.put_status(resource, _status(resource, merge(resource.status.conditions, (seen,),
                                                                 resource.metadata.generation, clock())))  # fmt: skip
            return None

        return reconcile

    return make


def _status(resource: ContinualModel | Site, conditions: tuple[Condition, ...]) -> Status:
    changes = {"conditions": conditions, "observed_generation": resource.metadata.generation}
    return resource.status.model_copy(update=changes)


def main(kubeconfig: str, settings: dict[str, Any]) -> int:
    configure(sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    seconds = settings.pop("seconds", 0.0)
    lease = LeaseTimes(**settings.pop("lease", {}))
    options = Options(**{**settings, "namespaces": tuple(settings["namespaces"]), "lease": lease})
    where = configuration({}, kubeconfig)
    return serve(options, where, toy(options.identity, seconds), ToyObserver, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
