"""Assembles the process of the operator from controllers, back ends and metrics."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anamnesis
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.backends.factory import BackendFactory
from anamnesis.operator.backends.pod_defaults import PodDefaults, load_pod_defaults
from anamnesis.operator.backends.pod_reader import PodReader
from anamnesis.operator.controllers.dispatch import ReconcileOptions, create_reconciler
from anamnesis.operator.metrics import OperatorMetrics
from anamnesis.operator.runtime.api_access import ApiAccess, load_access
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.json_logs import configure_logging
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi
from anamnesis.operator.runtime.options import OperatorOptions
from anamnesis.operator.runtime.process import run_operator
from anamnesis.operator.runtime.reconcile_key import Reconcile
from anamnesis.records import SignerRole
from anamnesis.records.timestamps import Clock
from anamnesis.registry.opening import read_private_key
from anamnesis.registry.signing import make_signer

Environment = Mapping[str, str]


def start_operator(
    options: OperatorOptions,
    environment: Environment,
    *,
    state_folder: Path,
    pod_defaults_file: Path | None,
    signing_key: Path | None,
    detailed_models: int,
    kubeconfig: str,
    context: str,
) -> int:
    """Runs the operator until SIGTERM or SIGINT, or until it loses its Lease; returns the exit code.

    Raises:
        InputError: no kubeconfig and no service account, the API server does not serve our kinds, the port is in use,
            or ``pod_defaults_file`` (defaults for the pods of runs) or ``signing_key`` (a file) is not valid.
    """
    configure_logging(sys.stderr)
    pod_defaults = load_pod_defaults(pod_defaults_file) if pod_defaults_file else PodDefaults()
    if signing_key:
        make_signer(SignerRole.OPERATOR, read_private_key(signing_key.resolve().as_uri()))
    access = load_access(environment, kubeconfig, context)
    stop_event = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop_event.set())

    def make_reconcile(cluster: Cluster, cache: Cache, clock: Clock) -> Reconcile:
        backends = BackendFactory(
            cluster=cluster,
            environment=environment,
            state_folder=state_folder,
            clock=clock,
            pod_defaults=pod_defaults,
            pods=_make_pod_reader(options, access, clock),
        )
        reconcile_options = ReconcileOptions(environment, state_folder, backends, signing_key=signing_key)
        return create_reconciler(cluster, clock, reconcile_options, cache)

    def make_metrics(resources: Callable[[], Iterable[Resource]]) -> OperatorMetrics:
        return OperatorMetrics(resources, anamnesis.__version__, detailed_models)

    return run_operator(options, access, make_reconcile=make_reconcile, make_observer=make_metrics, stop=stop_event)


def _make_pod_reader(options: OperatorOptions, access: ApiAccess, clock: Clock) -> PodReader | None:
    if not options.pods_namespace:
        return None
    return PodReader(KubernetesApi(access, options.request_timeout), options.pods_namespace, clock)
