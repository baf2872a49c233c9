"""An operator's process that is real but for its hands: it watches, leads and exports, and changes no status.

python -m toys.quiet_operator KUBECONFIG OPTIONS_AS_JSON

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
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure
from anamnesis.operator.runtime.kubernetes_api import configuration
from anamnesis.operator.runtime.options import LeaseTimes, Options
from anamnesis.operator.runtime.process import serve
from anamnesis.operator.runtime.reconcile_key import Key, Reconcile


def looking(cluster: Cluster, _: Cache, __: Callable[[], datetime]) -> Reconcile:
    """Returns a reconcile that looks and does nothing."""

    def reconcile(key: Key) -> timedelta | None:
        site = cluster.get(Site, key.namespace, key.name) if key.kind == "Site" else None
        if site is not None and "fail" in site.metadata.labels:
            raise ValueError("it is labelled so")
        return None

    return reconcile


def exporting(resources: Callable[[], Iterable[Resource]]) -> OperatorMetrics:
    return OperatorMetrics(resources, "test")


def main(kubeconfig: str, settings: dict[str, Any]) -> int:
    configure(sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    lease = LeaseTimes(**settings.pop("lease"))
    options = Options(**{**settings, "namespaces": tuple(settings["namespaces"]), "lease": lease})
    return serve(options, configuration({}, kubeconfig), looking, exporting, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
