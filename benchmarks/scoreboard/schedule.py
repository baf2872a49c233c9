"""The runs of the page without a result, in an order that is fair whenever it stops, and their processes."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scoreboard.result import RESULTS_FOLDER, RunSetting
from benchmarks.scoreboard.results_file import read_results
from benchmarks.scoreboard.rows import ORDERS, ROWS, MethodRow
from benchmarks.scoreboard.run import command
from benchmarks.scoreboard.summary import run_key
from benchmarks.scoreboard.trial_choices import Choices, setting_of

PrintLine = Callable[[str], None]
RUNS = RESULTS_FOLDER / "runs"
ON_PAGE = ("modality", "site", "shift", "patient")
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run and the file of its result."""

    setting: RunSetting
    path: Path

    @property
    def key(self) -> str:
        """The key of its result in the file."""
        return run_key(self.setting)


def plan_runs(
    current_choices: Choices,
    sequences: Sequence[str] = ON_PAGE,
    rows: Iterable[MethodRow] = ROWS,
    seeds: Iterable[int] = SEEDS,
    folder: Path = RUNS,
) -> list[ScheduledRun]:
    """Returns every run of the page: all rows of a sequence, seed and order before the next seed or order begins."""
    all_rows, jobs = tuple(rows), []
    for seed in seeds:
        for order in ORDERS:
            for sequence in sequences:
                for row in (row for row in all_rows if row.runs_on(sequence) and order in row.orders):
                    setting = setting_of(row, sequence, seed=seed, order=order, current_choices=current_choices)
                    jobs.append(ScheduledRun(setting, folder / f"{sequence}.jsonl"))
    return jobs


def pending_runs(jobs: Iterable[ScheduledRun]) -> list[ScheduledRun]:
    """Returns the runs without a result."""
    all_jobs = tuple(jobs)
    keys_by_path = {path: read_results(path).keys() for path in {job.path for job in all_jobs}}
    return [job for job in all_jobs if job.key not in keys_by_path[job.path]]


def run_jobs(jobs: Iterable[ScheduledRun], hours: float, workers: int, print_line: PrintLine) -> int:
    """Runs all without a result, each in a process of one thread, and returns how many failed.

    No run begins after ``hours``. A killed run leaves no result and runs again at the next call.
    """
    pending_jobs = pending_runs(jobs)
    deadline = time.monotonic() + 3600 * hours
    print_line(f"{len(pending_jobs)} runs to do")
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda job: _run_job(job, deadline, print_line), pending_jobs))
    if unstarted_count := results.count(None):
        print_line(f"{unstarted_count} runs are left: the time is over; call it again to continue")
    return results.count(False)


def _run_job(job: ScheduledRun, deadline: float, print_line: PrintLine) -> bool | None:
    if time.monotonic() > deadline:
        return None
    arguments = [*shlex.split(command(job.setting))[1:], "--row", job.setting.row, "--out", str(job.path)]
    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    name = f"{job.setting.sequence}: {job.setting.row}, order {job.setting.order}, seed {job.setting.seed}"
    if process.returncode:
        reason = (process.stderr.strip() or process.stdout.strip() or f"exit {process.returncode}").splitlines()[-1]
        print_line(f"{name} failed: {reason}")
        return False
    print_line(f"{name}: {time.monotonic() - start:.0f} s")
    return True
