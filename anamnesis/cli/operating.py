"""The operator's process, put together from the controller, reconciling, back ends and metrics."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anamnesis
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.backends.factory import Backends
from anamnesis.operator.backends.pod_defaults import PodDefaults, load_defaults
from anamnesis.operator.controllers.dispatch import ReconcileOptions, reconciler
from anamnesis.operator.metrics import OperatorMetrics
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure
from anamnesis.operator.runtime.kubernetes_api import configuration
from anamnesis.operator.runtime.options import Options
from anamnesis.operator.runtime.process import serve
from anamnesis.operator.runtime.reconcile_key import Reconcile
from anamnesis.records.timestamps import Clock

Environment = Mapping[str, str]


def operate(
    options: Options, environment: Environment, state: Path, pods: Path | None, kubeconfig: str, context: str
) -> int:
    """Runs the operator until SIGTERM or SIGINT, or until it lost its Lease; returns the exit code.

    Raises:
        InputError: there is no way to an API server, it does not serve our kinds, the port is taken, or ``pods``, the
            file with defaults of the pods of runs, is not right.
    """
    configure(sys.stderr)
    defaults = load_defaults(pods) if pods else PodDefaults()
    where = configuration(environment, kubeconfig, context)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def make_reconcile(cluster: Cluster, _: Cache, clock: Clock) -> Reconcile:
        backends = Backends(cluster, environment, state, clock, defaults)
        return reconciler(cluster, clock, ReconcileOptions(environment, state, backends))

    def make_metrics(resources: Callable[[], Iterable[Resource]]) -> OperatorMetrics:
        return OperatorMetrics(resources, anamnesis.__version__)

    return serve(options, where, make_reconcile, make_metrics, stop)
