"""Runs without a result, each in a process of one thread."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.sites224.choices import FamilyChoices
from benchmarks.sites224.claims import read_claims
from benchmarks.sites224.families import FAMILIES, run_settings, trial_settings
from benchmarks.sites224.results_file import read_results
from benchmarks.sites224.setting import NOTHING_FROZEN, SequenceSetting

PrintLine = Callable[[str], None]


def planned_runs(choices: FamilyChoices) -> list[SequenceSetting]:
    """Returns every run of the chosen families: those of claims first, all rows of a seed before the next seed."""
    all_runs = [setting for name, choice in choices.families.items() for setting in run_settings(name, choice.chosen)]
    places = {name: place for place, name in enumerate(FAMILIES)}
    claimed = {name for claim in read_claims().claims for name in (claim.row, claim.rival)}

    def place(run: SequenceSetting) -> tuple[object, ...]:
        return run.frozen == NOTHING_FROZEN, run.family not in claimed, run.seed, run.order, places[run.family]

    return sorted(all_runs, key=place)


def planned_trials() -> list[SequenceSetting]:
    """Returns the trials of every family."""
    return [setting for name in FAMILIES for setting in trial_settings(name)]


def run_all(settings: Iterable[SequenceSetting], path: Path, hours: float, workers: int, print_line: PrintLine) -> int:
    """Runs all settings without a result, and returns how many failed; no run begins after ``hours``.

    A killed run leaves no result and runs again at the next call.
    """
    done = read_results(path)
    pending = [setting for setting in settings if setting.key not in done]
    deadline = time.monotonic() + 3600 * hours
    print_line(f"{len(pending)} runs to do")
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda setting: _run(setting, path, deadline, print_line), pending))
    if unstarted := results.count(None):
        print_line(f"{unstarted} runs are left: the time is over; call it again to continue")
    return results.count(False)


def _run(setting: SequenceSetting, path: Path, deadline: float, print_line: PrintLine) -> bool | None:
    if time.monotonic() > deadline:
        return None
    start = time.monotonic()
    arguments = [*shlex.split(setting.command)[1:], "--out", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if process.returncode:
        reason = (process.stderr.strip() or process.stdout.strip() or f"exit {process.returncode}").splitlines()[-1]
        print_line(f"{setting.sequence}: {setting.key} failed: {reason}")
        return False
    print_line(f"{process.stdout.strip()}\n  {time.monotonic() - start:.0f} s")
    return True
