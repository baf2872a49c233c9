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
from anamnesis.operator.runtime.event_mapping import own_keys
from anamnesis.operator.runtime.health import served
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import Api, check_installed
from anamnesis.operator.runtime.leader_election import Election
from anamnesis.operator.runtime.options import LEASE, Options
from anamnesis.operator.runtime.reconcile_key import Reconcile
from anamnesis.operator.runtime.watch import Watch
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.operator.runtime.worker_pool import Workers
from anamnesis.records import AnamnesisError, RefusedError
from anamnesis.records.timestamps import Clock, utc_now

RETRY = 1.0
"""Seconds until the API server is asked again for what it did not tell."""

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Who is told how the process is, and makes metrics of it and of the resources."""

    def reconciled(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """A key was, or was not, brought in order."""

    def queue_depth(self, depth: int) -> None:
        """So many keys wait."""

    def unread(self, counts: Mapping[str, int]) -> None:
        """So many resources of each kind cannot be read."""

    def watch_heard(self, kind: str) -> None:
        """The watches of a kind were found alive."""

    def leading(self, leads: bool) -> None:
        """Whether this replica leads."""

    def collect(self) -> bytes:
        """Returns the answer to a scrape."""


MakeReconcile = Callable[[Cluster, Cache, Clock], Reconcile]
MakeObserver = Callable[[Callable[[], Iterable[Resource]]], Observer]
"""Gets a function that returns all resources of the four kinds as they were told last."""


def serve(
    options: Options,
    where: Configuration,
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
    api = Api(where, options.timeout)
    cache, queue = Cache(), WorkQueue()
    observer = make_observer(cache.resources)
    lease_api = Api(where, options.lease.deadline / 4)  # two requests, each with a connection, within the deadline
    election = Election(lease_api, options.lease_namespace, LEASE, options.identity, options.lease, clock)
    cluster = KubeCluster(Api(where, options.timeout, election.require), options.identity, clock)
    workers = Workers(queue, make_reconcile(cluster, cache, clock), election.leading, observer.reconciled)
    watchdog = Watchdog(api, cache, queue, options.namespaces, options.silence, observer.watch_heard)
    with ExitStack() as running:
        running.enter_context(_served(options, watchdog, cache, queue, workers, election, observer))
        if not _listed(api, watchdog, stop):
            return 0
        watch = Watch(where, options.namespaces, watchdog.hear)
        watch.start()
        running.callback(watch.stop)
        ended = threading.Event()
        running.callback(ended.set)
        _repeat("watchdog", watchdog.look, options.check, ended)
        _repeat("resync", lambda: _ask_for_all(cache, queue, options.resync / 10), options.resync, ended)
        return _lead(election, workers, queue, options, stop)


def _listed(api: Api, watchdog: Watchdog, stop: threading.Event) -> bool:
    """Lists everything once; returns false where asked to stop before.

    Waits for the API server, for our rights, and for what it has to prepare where our kinds were just installed: all
    may come after us, and the watching library would call each an error.

    Raises:
        InputError: it answers, and does not serve our kinds.
    """
    while not stop.is_set():
        try:
            check_installed(api)
            watchdog.look()
        except (ClusterDownError, RefusedError) as error:  # one that has just started knows no roles yet
            logger.warning("%s", error)
            stop.wait(RETRY)
        else:
            return True
    return False


def _lead(election: Election, workers: Workers, queue: WorkQueue, options: Options, stop: threading.Event) -> int:
    if not election.acquire(stop.wait):
        return 0
    workers.start(options.workers)
    held = election.hold(stop.wait)
    queue.end()
    held = held and election.hold(_finishing(workers, options.grace))
    if workers.wait(0 if held else RETRY):
        election.release()
    else:
        logger.warning("work still ran after the time of grace; it is left as it is and continued by the next leader")
    return 0 if held else 1


def _finishing(workers: Workers, grace: float) -> Callable[[float], bool]:
    """Returns what waits for the workers, at most so long, and says whether that is over."""
    until = time.monotonic() + grace

    def finished(seconds: float) -> bool:
        left = until - time.monotonic()
        return workers.wait(min(seconds, left)) or left <= 0

    return finished


def _served(
    options: Options,
    watchdog: Watchdog,
    cache: Cache,
    queue: WorkQueue,
    workers: Workers,
    election: Election,
    observer: Observer,
) -> AbstractContextManager[int]:
    def healthy() -> tuple[str, ...]:
        silent = (f"the watch of {kind} is silent" for kind in watchdog.silent())
        hanging = (f"work on {key} hangs" for key in workers.hanging(options.patience))
        return (*silent, *hanging)

    def ready() -> tuple[str, ...]:
        return () if watchdog.synced() else ("the resources were not listed yet",)

    def metrics() -> bytes:
        leads = election.leading()
        observer.leading(leads)
        observer.queue_depth(queue.depth if leads else 0)  # what waits at others waits for the leader
        observer.unread(cache.unread())
        return observer.collect()

    return served(options.port, healthy, ready, metrics)


def _ask_for_all(cache: Cache, queue: WorkQueue, spread: float) -> None:
    for key in own_keys(cache):
        queue.add(key, random.uniform(0, spread))


def _repeat(name: str, do: Callable[[], None], seconds: float, ended: threading.Event) -> None:
    """Does something again and again in a thread, a tenth sooner or later, so that replicas do not come in step.

    What failed is tried again sooner.
    """

    def run() -> None:
        wait = seconds
        while not ended.wait(wait):
            wait = seconds * random.uniform(0.9, 1.1)
            try:
                do()
            except AnamnesisError as error:
                logger.warning("%s: %s", name, error)
                wait = min(wait, RETRY)
            except Exception:  # what keeps everything else going must not end by itself
                logger.exception("%s: unexpected", name)

    threading.Thread(target=run, name=name, daemon=True).start()
