"""Which runs are still to do, in an order in which any beginning is fair, and their processes."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scoreboard.choose import Choices, setting_of
from benchmarks.scoreboard.result import FOLDER, Setting
from benchmarks.scoreboard.rows import ORDERS, ROWS, Row
from benchmarks.scoreboard.run import command
from benchmarks.scoreboard.summary import slug

Say = Callable[[str], None]
RUNS = FOLDER / "runs"
ON_PAGE = ("modality", "site", "shift", "patient")
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Job:
    """A run and the file that says that it is done."""

    setting: Setting
    path: Path


def plan(
    chosen: Choices,
    sequences: Sequence[str] = ON_PAGE,
    rows: Iterable[Row] = ROWS,
    seeds: Iterable[int] = SEEDS,
    folder: Path = RUNS,
) -> list[Job]:
    """Returns every run of the page: all rows of a sequence, seed and order before the next seed or order begins."""
    listed, jobs = tuple(rows), []
    for seed in seeds:
        for order in ORDERS:
            for sequence in sequences:
                for row in (row for row in listed if row.runs_on(sequence) and order in row.orders):
                    setting = setting_of(row, sequence, seed, order, chosen)
                    jobs.append(Job(setting, folder / sequence / f"{slug(setting)}.json"))
    return jobs


def carry_out(jobs: Iterable[Job], hours: float, workers: int, say: Say) -> int:
    """Runs what has no result yet, each in a process of one thread, and returns how many failed.

    No run begins after ``hours``. A run that is killed leaves nothing and is run again next time.
    """
    todo = [job for job in jobs if not job.path.is_file()]
    until = time.monotonic() + 3600 * hours
    say(f"{len(todo)} runs to do")
    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(lambda job: _run(job, until, say), todo))
    if late := done.count(None):
        say(f"{late} runs are left: the time is over; start again to go on")
    return done.count(False)


def _run(job: Job, until: float, say: Say) -> bool | None:
    if time.monotonic() > until:
        return None
    words = [*shlex.split(command(job.setting))[1:], "--row", job.setting.row, "--out", str(job.path)]
    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    name = f"{job.setting.sequence}: {job.setting.row}, order {job.setting.order}, seed {job.setting.seed}"
    if ran.returncode:
        why = (ran.stderr.strip() or ran.stdout.strip() or f"exit {ran.returncode}").splitlines()[-1]
        say(f"{name} failed: {why}")
        return False
    say(f"{name}: {time.monotonic() - start:.0f} s")
    return True
