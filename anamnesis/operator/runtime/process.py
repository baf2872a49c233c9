"""The operator's process: watches, watchdog, health, leader election, workers, and the graceful stop."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Literal, Protocol

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.runtime.api_access import ApiAccess
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError
from anamnesis.operator.runtime.event_mapping import all_keys
from anamnesis.operator.runtime.health import serve_health
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi, check_kinds_installed
from anamnesis.operator.runtime.leader_election import LeaderElection
from anamnesis.operator.runtime.leader_metrics import fetch_leader_metrics, metrics_address
from anamnesis.operator.runtime.options import OperatorOptions
from anamnesis.operator.runtime.reconcile_key import Reconcile
from anamnesis.operator.runtime.watch import WatchThreads
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.operator.runtime.worker_pool import WorkerPool
from anamnesis.records import AnamnesisError, RefusedError
from anamnesis.records.timestamps import Clock, utc_now

RETRY_SECONDS = 1.0
"""Seconds until a failed request to the API server is sent again."""

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Records the state of the process, and renders metrics of it and of the resources."""

    def record_reconcile(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """Records one reconciled key, its result and its duration."""

    def set_queue_depth(self, depth: int) -> None:
        """Records the number of keys that wait."""

    def set_unreadable_counts(self, counts: Mapping[str, int]) -> None:
        """Records the number of unreadable resources of each kind."""

    def record_watch_alive(self, kind: str) -> None:
        """Records that the watches of a kind are alive."""

    def set_leading(self, is_leader: bool) -> None:
        """Records whether this replica leads."""

    def collect(self) -> bytes:
        """Returns the metrics for a scrape."""


MakeReconcile = Callable[[Cluster, Cache, Clock], Reconcile]
MakeObserver = Callable[[Callable[[], Iterable[Resource]]], Observer]
"""Called with a function that returns the latest reported resources of all four kinds."""


def run_operator(
    options: OperatorOptions,
    access: ApiAccess,
    make_reconcile: MakeReconcile,
    make_observer: MakeObserver,
    stop: threading.Event,
    clock: Clock = utc_now,
) -> int:
    """Runs the operator until ``stop`` is set or leadership is lost.

    Returns:
        0 after a graceful stop; 1 where leadership was lost: Kubernetes then starts a new process.

    Raises:
        InputError: our custom resource definitions are not installed, or the port is in use.
    """
    api = KubernetesApi(access, options.request_timeout)
    cache, queue = Cache(), WorkQueue()
    observer = make_observer(cache.resources)
    # two requests, each with a timeout to connect and one to read, must fit into the deadline
    lease_api = KubernetesApi(access, options.lease_times.deadline / 4)
    election = LeaderElection(
        lease_api,
        namespace=options.lease_namespace,
        name=options.lease_name,
        identity=options.identity,
        lease_times=options.lease_times,
        clock=clock,
        metrics_address=metrics_address(options.address, options.port),
    )
    cluster = KubeCluster(
        KubernetesApi(access, options.request_timeout, election.ensure_leader),
        options.identity,
        clock,
        election.lease_uid,
    )
    workers = WorkerPool(queue, make_reconcile(cluster, cache, clock), election.is_leading, observer.record_reconcile)
    watchdog = Watchdog(
        api,
        cache,
        queue,
        namespaces=options.namespaces,
        silence_limit=options.watch_silence_limit,
        report_alive=observer.record_watch_alive,
    )

    def render_metrics() -> bytes:
        is_leader = election.is_leading()
        observer.set_leading(is_leader)
        observer.set_queue_depth(queue.depth if is_leader else 0)  # only the leader works on its queue
        observer.set_unreadable_counts(cache.unreadable_counts())
        return observer.collect()

    def render_leader_metrics() -> bytes:
        return render_metrics() if election.is_leading() else fetch_leader_metrics(election.leader_address())

    with ExitStack() as exit_stack:
        ports = {options.port: render_metrics}
        if options.leader_metrics_port is not None:
            ports[options.leader_metrics_port] = render_leader_metrics
        for port, render in ports.items():
            exit_stack.enter_context(_serve_health(port, options, watchdog, workers, render))
        if not _wait_until_listed(api, watchdog, stop):
            return 0
        watch = WatchThreads(api, options.namespaces, watchdog.handle_event)
        watch.start()
        exit_stack.callback(watch.stop)
        stop_loops = threading.Event()
        exit_stack.callback(stop_loops.set)
        _start_loop("watchdog", watchdog.check_watches, options.watch_check_interval, stop_loops)
        _start_loop(
            "resync",
            lambda: _enqueue_all(cache, queue, options.resync_interval * 0.9),
            options.resync_interval,
            stop_loops,
        )
        return _run_as_leader(election, workers, queue, options=options, stop=stop)


def _wait_until_listed(api: KubernetesApi, watchdog: Watchdog, stop: threading.Event) -> bool:
    """Lists all resources once; returns false where ``stop`` was set before.

    Waits until the API server is reachable, grants our rights and serves definitions that were just installed: each
    may come after the start of this process.

    Raises:
        InputError: the API server is reachable and does not serve our kinds.
    """
    while not stop.is_set():
        try:
            check_kinds_installed(api)
            watchdog.check_watches()
        except (ClusterDownError, RefusedError) as error:  # an API server that has just started has no roles yet
            logger.warning("%s", error)
            stop.wait(RETRY_SECONDS)
        else:
            return True
    return False


def _run_as_leader(
    election: LeaderElection, workers: WorkerPool, queue: WorkQueue, *, options: OperatorOptions, stop: threading.Event
) -> int:
    if not election.acquire(stop.wait):
        return 0
    workers.start(options.worker_count)
    is_leader = election.keep_renewing(stop.wait)
    queue.shut_down()
    is_leader = is_leader and election.keep_renewing(_make_worker_wait(workers, options.grace_period))
    if workers.wait(0 if is_leader else RETRY_SECONDS):
        election.release_lease()
    else:
        logger.warning(
            "work still ran after the grace period of %g seconds: the process stops, and the next leader continues it",
            options.grace_period,
        )
    return 0 if is_leader else 1


def _make_worker_wait(workers: WorkerPool, grace_period: float) -> Callable[[float], bool]:
    """Returns a function that waits for the workers; it returns true once they ended or the grace period is over."""
    deadline = time.monotonic() + grace_period

    def wait_for_workers(seconds: float) -> bool:
        seconds_left = deadline - time.monotonic()
        return workers.wait(min(seconds, seconds_left)) or seconds_left <= 0

    return wait_for_workers


def _serve_health(
    port: int,
    options: OperatorOptions,
    watchdog: Watchdog,
    workers: WorkerPool,
    render_metrics: Callable[[], bytes],
) -> AbstractContextManager[int]:
    def check_health() -> tuple[str, ...]:
        silence = f"it has missed changes for more than {options.watch_silence_limit:g} seconds"
        silent_watches = (f"the watch of {kind} is silent: {silence}" for kind in watchdog.silent_kinds())
        hanging_keys = (
            f"reconciling {key} hangs: it has taken more than {options.work_timeout:g} seconds"
            for key in workers.hanging_keys(options.work_timeout)
        )
        return (*silent_watches, *hanging_keys)

    def check_readiness() -> tuple[str, ...]:
        if watchdog.has_synced():
            return ()
        return ("the operator has not listed the resources yet: its log has the reason",)

    return serve_health(port, check_health, check_readiness, render_metrics)


def _enqueue_all(cache: Cache, queue: WorkQueue, max_delay: float) -> None:
    """Adds all keys over some time; a Site only where its next poll has no time, so that it keeps its interval."""
    for key in all_keys(cache):
        add = queue.add_if_missing if key.kind == "Site" else queue.add
        add(key, random.uniform(0, max_delay))


def _start_loop(name: str, action: Callable[[], None], interval: float, stop: threading.Event) -> None:
    """Calls ``action`` repeatedly in a thread. The interval varies by a tenth, so that replicas do not act together.

    A failed action is tried again after ``RETRY_SECONDS``.
    """

    def run_loop() -> None:
        delay = interval
        while not stop.wait(delay):
            delay = interval * random.uniform(0.9, 1.1)
            try:
                action()
            except AnamnesisError as error:
                logger.warning("%s: %s", name, error)
                delay = min(delay, RETRY_SECONDS)
            except Exception:  # a defect must not end the loop
                logger.exception("unexpected error in the loop %s: report it as a defect", name)

    threading.Thread(target=run_loop, name=name, daemon=True).start()
