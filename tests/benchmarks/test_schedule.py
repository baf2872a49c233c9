import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.scoreboard.result import RunSetting
from benchmarks.scoreboard.results_file import read_results, write_result
from benchmarks.scoreboard.rows import ROWS
from benchmarks.scoreboard.schedule import ON_PAGE, ScheduledRun, plan_runs, run_jobs
from benchmarks.scoreboard.trial_choices import Choices


def test_all_rows_of_a_seed_come_before_the_next_seed():
    jobs = plan_runs(Choices())
    assert len(jobs) == sum(len(row.sequences or ON_PAGE) * len(row.orders) for row in ROWS) * 3
    assert len({(job.path, job.key) for job in jobs}) == len(jobs)
    assert {job.path.name for job in jobs} == {f"{sequence}.jsonl" for sequence in ON_PAGE}
    at_once = [(job.setting.seed, job.setting.order) for job in jobs if job.setting.row == "joint"]
    assert sorted(set(at_once)) == [(0, 0), (1, 0), (2, 0)]  # a method that opens all sites has no order
    seeds = [job.setting.seed for job in jobs]
    assert seeds == sorted(seeds)
    first = jobs[: len(ROWS)]
    assert {(job.setting.sequence, job.setting.order) for job in first} == {("modality", 0)}
    assert [job.setting.row for job in first] == [row.label for row in ROWS]


def jobs_in(folder, *methods):
    return [
        ScheduledRun(RunSetting("phantom", method, row=method, epochs=1, quick=True), folder / "phantom.jsonl")
        for method in methods
    ]


def test_a_stored_result_does_not_run_again_and_a_failure_is_reported(tmp_path, make_result):
    jobs = jobs_in(tmp_path, "finetune", "no_such_method")
    write_result(make_result(jobs[0].setting, 20), jobs[0].path)
    stored_text = jobs[0].path.read_text()
    messages: list[str] = []
    assert run_jobs(jobs, 1, 1, messages.append) == 1
    assert jobs[0].path.read_text() == stored_text
    assert any("no_such_method" in line and "failed" in line for line in messages)
    assert [path.name for path in tmp_path.iterdir()] == ["phantom.jsonl"]


def test_nothing_begins_when_the_time_is_over(tmp_path):
    messages: list[str] = []
    assert run_jobs(jobs_in(tmp_path, "finetune"), 0, 1, messages.append) == 0
    assert not list(tmp_path.iterdir())
    assert "1 runs are left" in messages[-1]


@pytest.fixture(scope="module")
def command():
    arguments = "run --sequence phantom --method finetune --quick --epochs 1 --option competing=task --seed 3"
    return [sys.executable, "-m", "benchmarks.scoreboard", *arguments.split()]


def test_a_killed_run_leaves_nothing_and_runs_again(tmp_path, command):
    out = tmp_path / "phantom.jsonl"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([*command, "--epochs", "500", "--out", str(out)], env=environment)
    time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.iterdir())
    subprocess.run([*command, "--out", str(out)], check=True, env=environment, capture_output=True)
    (result,) = read_results(out).values()
    assert result.setting.options == {"competing": "task"}
    assert result.setting.seed == 3
    document = json.loads(out.read_text())
    assert document["command"].endswith("--quick")
    assert len(document["class_incremental"]) == len(result.sites) == 3
    assert all(sum(site["images"]) == 80 for site in document["patients"].values())
