"""An operator's process that is real but for its hands: it watches, leads and exports, and changes no status.

python -m fakes.idle_operator KUBECONFIG OPTIONS_AS_JSON

So a test can write into statuses what it likes. Only a Site labelled ``fail`` cannot be brought in order.
"""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from anamnesis.operator.api import Site
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.metrics import OperatorMetrics
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure_logging
from anamnesis.operator.runtime.options import LeaseTimes, OperatorOptions
from anamnesis.operator.runtime.process import run_operator
from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey


def idle_reconcile(cluster: Cluster, _: Cache, __: Callable[[], datetime]) -> Reconcile:
    """Returns a reconcile that looks and does nothing."""

    def reconcile(key: ReconcileKey) -> timedelta | None:
        site = cluster.get(Site, key.namespace, key.name) if key.kind == "Site" else None
        if site is not None and "fail" in site.metadata.labels:
            raise ValueError("it is labelled so")
        return None

    return reconcile


def make_metrics(resources: Callable[[], Iterable[Resource]]) -> OperatorMetrics:
    return OperatorMetrics(resources, "test")


def main(kubeconfig: str, settings: dict[str, Any]) -> int:
    configure_logging(sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lease = LeaseTimes(**settings.pop("lease"))
    options = OperatorOptions(**{**settings, "namespaces": tuple(settings["namespaces"]), "lease_times": lease})
    return run_operator(
        options,
        load_access({}, kubeconfig),
        make_reconcile=idle_reconcile,
        make_observer=make_metrics,
        stop=stop,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
