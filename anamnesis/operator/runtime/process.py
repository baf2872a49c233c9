"""The whole process: watches, watchdog, health, one leader, workers; and how it ends."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Literal, Protocol

from kubernetes.client import Configuration

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError
from anamnesis.operator.runtime.event_mapping import all_keys
from anamnesis.operator.runtime.health import serve_health
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi, check_kinds_installed
from anamnesis.operator.runtime.leader_election import LeaderElection
from anamnesis.operator.runtime.options import LEASE_NAME, OperatorOptions
from anamnesis.operator.runtime.reconcile_key import Reconcile
from anamnesis.operator.runtime.watch import WatchThread
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.operator.runtime.worker_pool import WorkerPool
from anamnesis.records import AnamnesisError, RefusedError
from anamnesis.records.timestamps import Clock, utc_now

RETRY_SECONDS = 1.0
"""Seconds until the API server is asked again for what it did not tell."""

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Who is told how the process is, and makes metrics of it and of the resources."""

    def record_reconcile(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """A key was, or was not, brought in order."""

    def set_queue_depth(self, depth: int) -> None:
        """So many keys wait."""

    def set_unreadable_counts(self, counts: Mapping[str, int]) -> None:
        """So many resources of each kind cannot be read."""

    def record_watch_alive(self, kind: str) -> None:
        """The watches of a kind were found alive."""

    def set_leading(self, is_leader: bool) -> None:
        """Whether this replica leads."""

    def collect(self) -> bytes:
        """Returns the answer to a scrape."""


MakeReconcile = Callable[[Cluster, Cache, Clock], Reconcile]
MakeObserver = Callable[[Callable[[], Iterable[Resource]]], Observer]
"""Gets a function that returns all resources of the four kinds as they were told last."""


def run_operator(
    options: OperatorOptions,
    configuration: Configuration,
    make_reconcile: MakeReconcile,
    make_observer: MakeObserver,
    stop: threading.Event,
    clock: Clock = utc_now,
) -> int:
    """Runs the operator until ``stop`` is set or leadership is lost.

    Returns:
        0 after a graceful stop; 1 where leadership was lost: the supervisor starts a fresh process.

    Raises:
        InputError: our kinds are not installed, or the port is taken.
    """
    api = KubernetesApi(configuration, options.request_timeout)
    cache, queue = Cache(), WorkQueue()
    observer = make_observer(cache.resources)
    lease_api = KubernetesApi(
        configuration, options.lease_times.deadline / 4
    )  # two requests, each with a connection, within the deadline
    election = LeaderElection(
        lease_api, options.lease_namespace, LEASE_NAME, options.identity, options.lease_times, clock
    )
    cluster = KubeCluster(
        KubernetesApi(configuration, options.request_timeout, election.ensure_leader), options.identity, clock
    )
    workers = WorkerPool(queue, make_reconcile(cluster, cache, clock), election.is_leading, observer.record_reconcile)
    watchdog = Watchdog(api, cache, queue, options.namespaces, options.watch_silence_limit, observer.record_watch_alive)
    with ExitStack() as exit_stack:
        exit_stack.enter_context(_serve_health(options, watchdog, cache, queue, workers, election, observer))
        if not _wait_until_listed(api, watchdog, stop):
            return 0
        watch = WatchThread(configuration, options.namespaces, watchdog.handle_event)
        watch.start()
        exit_stack.callback(watch.stop)
        stop_loops = threading.Event()
        exit_stack.callback(stop_loops.set)
        _start_loop("watchdog", watchdog.check_watches, options.watch_check_interval, stop_loops)
        _start_loop(
            "resync",
            lambda: _enqueue_all(cache, queue, options.resync_interval / 10),
            options.resync_interval,
            stop_loops,
        )
        return _run_as_leader(election, workers, queue, options, stop)


def _wait_until_listed(api: KubernetesApi, watchdog: Watchdog, stop: threading.Event) -> bool:
    """Lists everything once; returns false where asked to stop before.

    Waits for the API server, for our rights, and for what it has to prepare where our kinds were just installed: all
    may come after us, and the watching library would call each an error.

    Raises:
        InputError: it answers, and does not serve our kinds.
    """
    while not stop.is_set():
        try:
            check_kinds_installed(api)
            watchdog.check_watches()
        except (ClusterDownError, RefusedError) as error:  # one that has just started knows no roles yet
            logger.warning("%s", error)
            stop.wait(RETRY_SECONDS)
        else:
            return True
    return False


def _run_as_leader(
    election: LeaderElection, workers: WorkerPool, queue: WorkQueue, options: OperatorOptions, stop: threading.Event
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
        logger.warning("work still ran after the time of grace; it is left as it is and continued by the next leader")
    return 0 if is_leader else 1


def _make_worker_wait(workers: WorkerPool, grace_period: float) -> Callable[[float], bool]:
    """Returns what waits for the workers, at most so long, and says whether that is over."""
    deadline = time.monotonic() + grace_period

    def wait_for_workers(seconds: float) -> bool:
        seconds_left = deadline - time.monotonic()
        return workers.wait(min(seconds, seconds_left)) or seconds_left <= 0

    return wait_for_workers


def _serve_health(
    options: OperatorOptions,
    watchdog: Watchdog,
    cache: Cache,
    queue: WorkQueue,
    workers: WorkerPool,
    election: LeaderElection,
    observer: Observer,
) -> AbstractContextManager[int]:
    def check_health() -> tuple[str, ...]:
        silent_watches = (f"the watch of {kind} is silent" for kind in watchdog.silent_kinds())
        hanging_keys = (f"work on {key} hangs" for key in workers.hanging_keys(options.work_timeout))
        return (*silent_watches, *hanging_keys)

    def check_readiness() -> tuple[str, ...]:
        return () if watchdog.has_synced() else ("the resources were not listed yet",)

    def render_metrics() -> bytes:
        is_leader = election.is_leading()
        observer.set_leading(is_leader)
        observer.set_queue_depth(queue.depth if is_leader else 0)  # what waits at others waits for the leader
        observer.set_unreadable_counts(cache.unreadable_counts())
        return observer.collect()

    return serve_health(options.port, check_health, check_readiness, render_metrics)


def _enqueue_all(cache: Cache, queue: WorkQueue, max_delay: float) -> None:
    for key in all_keys(cache):
        queue.add(key, random.uniform(0, max_delay))


def _start_loop(name: str, action: Callable[[], None], interval: float, stop: threading.Event) -> None:
    """Does something again and again in a thread, a tenth sooner or later, so that replicas do not come in step.

    What failed is tried again sooner.
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
            except Exception:  # what keeps everything else going must not end by itself
                logger.exception("%s: unexpected", name)

    threading.Thread(target=run_loop, name=name, daemon=True).start()
