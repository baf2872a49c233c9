"""The operator with many models: memory, processor, lateness of polls, time until a change is in its status.

A real operator process against a real API server; each model has sites of its own, whose sources are folders with
files of too few patients, so that no update starts. The kernel reports when a folder is listed, so the polls are seen
from outside. ``python -m benchmarks operator`` measures a small fleet in 3 minutes;
``python -m benchmarks operator --size 300x3 --poll-interval 60 --seconds 300`` a large one.
``KUBEBUILDER_ASSETS`` names the folder with etcd, kube-apiserver and kubectl. Linux only.
"""

import argparse
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.operator_load.fleet import Fleet, FleetSize, find_api_server
from benchmarks.operator_load.folder_watch import FolderWatch
from benchmarks.operator_load.operator_process import MeasuredOperator
from benchmarks.operator_load.status_watch import StatusWatch
from tests.builders.api_server import ApiServer

_SCRAPE_SECONDS = 30.0
_CHANGE_SECONDS = 1.0
_STATUS_TIMEOUT_SECONDS = 20.0
_FIRST_STATUS_TIMEOUT_SECONDS = 1800.0
_QUIET_CHECK_SECONDS, _QUIET_CHECKS, _QUIET_CHECKS_AT_MOST = 5.0, 3, 120
_QUIET_DEPTH = 2
"""So few waiting keys are polls that just became due."""
EARLIER = "earlier, 300x3"
EARLIER_FIGURES = {"memory (MiB)": 236.0, "idle (cores)": 0.55}
"""Measured on an earlier state of the operator and on another machine; its polls were up to 280 s late."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """Times between two polls of a site, as multiples of its interval.

    Attributes:
        median: of all.
        high: the 99th percentile.
        maximum: the longest; a site that was not polled again counts until the end of the measurement.
    """

    median: float
    high: float
    maximum: float


def run(arguments: Sequence[str] = ()) -> list[dict[str, object]]:
    """Measures fleets; returns a row for each figure, with a column for each fleet and the earlier state."""
    options = _parse(arguments)
    columns = {}
    for text in options.size or ["50x3"]:
        models, _, sites = text.partition("x")
        size = FleetSize(int(models), int(sites), options.poll_interval)
        columns[text] = _measure(size, options.seconds, options.changes, tuple(options.operator_option))
    figures = next(iter(columns.values()))
    return [
        {"figure": name, **{size: column[name] for size, column in columns.items()},
         EARLIER: EARLIER_FIGURES.get(name, "-")}
        for name in figures
    ]  # fmt: skip


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks operator")
    parser.add_argument("--size", action="append", help="models x sites of each model: 300x3; repeatable")
    parser.add_argument("--poll-interval", type=int, default=20, help="seconds between two polls of a site")
    parser.add_argument("--seconds", type=int, default=60, help="how long the idle operator is measured")
    parser.add_argument("--changes", type=int, default=60, help="number of changes of a spec, one a second")
    parser.add_argument("--operator-option", action="append", default=[], help="more options of the operator")
    return parser.parse_args(arguments)


def _measure(size: FleetSize, seconds: int, changes: int, options: tuple[str, ...]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="operator-benchmark-") as name:
        folder, server = Path(name), ApiServer(find_api_server())
        try:
            server.start()
            fleet = Fleet(server, size, folder)
            fleet.create()
            folders = FolderWatch({site: fleet.source_folder(site) for site in size.site_names()})
            statuses = StatusWatch(server)
            with MeasuredOperator(server.kubeconfig(), folder, options) as operator:
                return _observe(fleet, folders, statuses, operator, seconds=seconds, changes=changes)
        finally:
            server.stop()


def _observe(
    fleet: Fleet, folders: FolderWatch, statuses: StatusWatch, operator: MeasuredOperator, *, seconds: int, changes: int
) -> dict[str, float]:
    size = fleet.size
    all_described_at = statuses.wait_until_all_described(size.objects, _FIRST_STATUS_TIMEOUT_SECONDS)
    start_cpu = operator.cpu_seconds()
    _log(f"all {size.objects} statuses after {all_described_at - operator.started_at:.0f} s, {start_cpu:.0f} s of CPU")
    _wait_until_quiet(operator)
    stop_scraping, scrape_seconds = threading.Event(), list[float]()
    scraper = threading.Thread(target=_scrape, args=(operator, stop_scraping, scrape_seconds), daemon=True)
    scraper.start()
    idle_start, idle_cpu = time.monotonic(), operator.cpu_seconds()
    time.sleep(seconds)
    operator.check_running()
    idle_cores = (operator.cpu_seconds() - idle_cpu) / (time.monotonic() - idle_start)
    memory = operator.memory_mebibytes()
    lateness = _lateness(folders.times(), idle_start, time.monotonic(), size.poll_interval)
    _log(f"idle: {idle_cores:.3f} cores, {memory:.0f} MiB")
    stop_scraping.set()
    scraper.join()
    latencies = _change_specs(fleet, statuses, changes)
    series = _series_per_model(operator.scrape())
    return {
        "objects": size.objects,
        "poll interval (s)": size.poll_interval,
        "first statuses (s)": all_described_at - operator.started_at,
        "their CPU (s)": start_cpu,
        "memory (MiB)": memory,
        "limit (MiB)": 100 + 15 / 1024 * size.objects,
        "idle (cores)": idle_cores,
        "poll gap p50 (intervals)": lateness.median,
        "poll gap p99": lateness.high,
        "poll gap max": lateness.maximum,
        "change to status p50 (s)": statistics.median(latencies),
        "change to status p99 (s)": _percentile(latencies, 0.99),
        "series of a model": series,
        "scrape (s)": max(scrape_seconds),
    }


def _wait_until_quiet(operator: MeasuredOperator) -> None:
    """Waits until the work of the start is done: each first status makes some more."""
    quiet_checks = 0
    for _ in range(_QUIET_CHECKS_AT_MOST):
        time.sleep(_QUIET_CHECK_SECONDS)
        match = re.search(r"^anamnesis_operator_queue_depth (\S+)", operator.scrape(), re.MULTILINE)
        quiet_checks = quiet_checks + 1 if match and float(match[1]) <= _QUIET_DEPTH else 0
        if quiet_checks == _QUIET_CHECKS:
            return
    _log("the operator still works on what the start made; the figures include that")


def _scrape(operator: MeasuredOperator, stop: threading.Event, durations: list[float]) -> None:
    """Scrapes as Prometheus does."""
    while True:
        start = time.monotonic()
        operator.scrape()
        durations.append(time.monotonic() - start)
        if stop.wait(_SCRAPE_SECONDS):
            return


def _lateness(times: dict[str, list[float]], start: float, end: float, interval: float) -> Lateness:
    """Times between two polls that end after ``start``."""
    gaps = [
        (later - earlier) / interval
        for site_times in times.values()
        for earlier, later in pairwise([*(polled_at for polled_at in site_times if polled_at < end), end])
        if later > start
    ]
    unfinished = [(end - site_times[-1]) / interval for site_times in times.values()]
    counts = Counter(gaps) - Counter(unfinished)  # the last one of a site has not ended yet
    complete = list(counts.elements()) or gaps
    return Lateness(statistics.median(complete), _percentile(complete, 0.99), max(gaps))


def _change_specs(fleet: Fleet, statuses: StatusWatch, count: int) -> list[float]:
    """Changes the spec of a model or a site each second; returns the seconds until each status describes it."""
    models, latencies = fleet.size.model_names(), []
    for number in range(count):
        model = models[number * 7919 % len(models)]
        kind, name = ("ContinualModel", model) if number % 2 else ("Site", fleet.size.sites_of(model)[0])
        start = time.monotonic()
        generation = fleet.change(kind, name, number)
        described_at = statuses.wait_until_described(kind, name, generation, _STATUS_TIMEOUT_SECONDS)
        latencies.append(max(0.0, described_at - start))
        time.sleep(max(0.0, _CHANGE_SECONDS - (time.monotonic() - start)))
    return latencies


def _series_per_model(text: str) -> int:
    """The largest number of series with one value of the label ``model``."""
    counts = Counter(re.findall(r'^[a-z_]+\{[^}]*\bmodel="([^"]+)"', text, re.MULTILINE))
    return max(counts.values(), default=0)


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 100) * len(ordered) // 100) - 1))]


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
