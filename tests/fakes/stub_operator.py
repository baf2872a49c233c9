"""A real operator process whose reconciling is a toy: it writes into the status who saw which generation.

python -m fakes.stub_operator KUBECONFIG OPTIONS_AS_JSON
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
from anamnesis.operator.api.conditions import Condition, merge_conditions
from anamnesis.operator.api.status import ResourceStatus
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure_logging
from anamnesis.operator.runtime.options import LeaseTimes, OperatorOptions
from anamnesis.operator.runtime.process import run_operator
from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey


class RecordingObserver:
    """Counts."""

    def __init__(self, resources: Callable[[], Iterable[Resource]]) -> None:
        self._resources = resources
        self.recorded: dict[str, Any] = {"reconciled": 0, "alive": []}

    def record_reconcile(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        self.recorded["reconciled"] += 1

    def set_queue_depth(self, depth: int) -> None:
        self.recorded["depth"] = depth

    def set_unreadable_counts(self, counts: Mapping[str, int]) -> None:
        self.recorded["unread"] = counts

    def record_watch_alive(self, kind: str) -> None:
        self.recorded["alive"] = sorted({*self.recorded["alive"], kind})

    def set_leading(self, is_leader: bool) -> None:
        self.recorded["leads"] = is_leader

    def collect(self) -> bytes:
        return json.dumps({**self.recorded, "resources": len(list(self._resources()))}).encode()


def stub_reconcile(identity: str, seconds: float) -> Callable[[Cluster, Cache, Callable[[], datetime]], Reconcile]:
    """Makes a reconcile that takes ``seconds``, and fails where a model is labelled so."""

    def make(cluster: Cluster, cache: Cache, clock: Callable[[], datetime]) -> Reconcile:
        def reconcile(key: ReconcileKey) -> timedelta | None:
            kind = ContinualModel if key.kind == "ContinualModel" else Site
            resource = cluster.get(kind, key.namespace, key.name)
            if resource is None:
                return None
            logging.getLogger("anamnesis.toy").info("begins", extra={"key": str(key)})
            time.sleep(seconds)
            if "fail" in resource.metadata.labels:
                raise ValueError(f"a library quotes {resource.spec}")
            ready_condition = Condition(type="Ready", status="True", reason="Seen", message=f"by {identity}")
            generation = resource.metadata.generation
            conditions = merge_conditions(resource.status.conditions, (ready_condition,), generation, clock())
            cluster.put_status(resource, _status(resource, conditions))
            return None

        return reconcile

    return make


def _status(resource: ContinualModel | Site, conditions: tuple[Condition, ...]) -> ResourceStatus:
    changes = {"conditions": conditions, "observed_generation": resource.metadata.generation}
    return resource.status.model_copy(update=changes)


def main(kubeconfig: str, settings: dict[str, Any]) -> int:
    configure_logging(sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    seconds = settings.pop("seconds", 0.0)
    lease = LeaseTimes(**settings.pop("lease", {}))
    options = OperatorOptions(**{**settings, "namespaces": tuple(settings["namespaces"]), "lease_times": lease})
    access = load_access({}, kubeconfig)
    return run_operator(
        options,
        access,
        make_reconcile=stub_reconcile(options.identity, seconds),
        make_observer=RecordingObserver,
        stop=stop,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
