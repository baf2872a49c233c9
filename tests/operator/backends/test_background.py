"""Runs behind an operator on one machine: they are found again, can be ended, and end with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anamnesis.operator.backends.background import BackgroundBackend
from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.records import InputError

SECONDS = 60
OPERATOR = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from anamnesis.operator.backends.background import BackgroundBackend
from anamnesis.operator.backends.base import PipelineJob
backend = BackgroundBackend(Path(sys.argv[1]), lambda: datetime.now(UTC), lambda job: dict(os.environ))
backend.submit(PipelineJob("chest-5aa-1", Path(sys.argv[2]), {"what": "wait"}))
time.sleep(600)
"""


@pytest.fixture
def backend(tmp_path: Path) -> BackgroundBackend:
    return BackgroundBackend(tmp_path / "runs", lambda: datetime.now(UTC), lambda job: {**os.environ, "SITE": job.name})


def wait_for_run(backend: BackgroundBackend, holds: Callable[[Run], bool]) -> Run:
    deadline = time.monotonic() + SECONDS
    while not (runs := backend.runs("chest-")) or not holds(runs[0]):
        assert time.monotonic() < deadline, runs
        time.sleep(0.05)
    return runs[0]


def test_a_run_is_followed_to_its_end(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "ok"})
    assert backend.submit(job).state is RunState.PENDING
    assert backend.submit(job).name == backend.runs("chest-5aa")[0].name
    finished_run = wait_for_run(backend, lambda run: run.state.is_final)
    assert finished_run.state is RunState.SUCCEEDED
    assert finished_run.finished_at
    assert finished_run.created_at <= finished_run.finished_at
    assert backend.submit(job) == finished_run, "its name was used"
    assert backend.runs("heart-") == ()


def test_a_failed_step_is_reported(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "refuse"}))
    finished_run = wait_for_run(backend, lambda run: run.state.is_final)
    assert finished_run.state is RunState.FAILED
    assert finished_run.message
    assert "4711" not in finished_run.message


def test_wrong_arguments_are_reported(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"colour": "red"}))
    finished_run = wait_for_run(backend, lambda run: run.state.is_final)
    assert finished_run.state is RunState.FAILED
    assert "colour" in finished_run.message
    assert "red" not in finished_run.message


def test_an_unwritable_folder_is_reported(tmp_path: Path, probe_pipeline: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    backend = BackgroundBackend(tmp_path / "runs", lambda: datetime.now(UTC), lambda job: dict(os.environ))
    with pytest.raises(InputError, match=r"spec\.backend: local runs cannot write to .*volume"):
        backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "ok"}))


def test_a_run_is_cancelled(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    run = backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    wait_for_run(backend, lambda run: run.state is RunState.RUNNING)
    backend.cancel(run)
    assert wait_for_run(backend, lambda run: run.state.is_final).state is RunState.CANCELLED
    backend.cancel(run)
    backend.cancel(Run("gone", "gone", RunState.RUNNING, run.created_at))


def test_a_run_ends_with_its_operator_and_is_found_again(
    backend: BackgroundBackend, probe_pipeline: Path, tmp_path: Path
) -> None:
    operator = subprocess.Popen([sys.executable, "-c", OPERATOR, tmp_path / "runs", probe_pipeline])
    try:
        assert wait_for_run(backend, lambda run: run.state is RunState.RUNNING).name == "chest-5aa-1"
    finally:
        operator.send_signal(signal.SIGKILL)
        operator.wait()
    finished_run = wait_for_run(backend, lambda run: run.state.is_final)
    assert finished_run.state is RunState.INTERRUPTED
    assert finished_run.message.startswith("interrupted")


def test_a_run_that_is_killed_alone_has_failed(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    wait_for_run(backend, lambda run: run.state is RunState.RUNNING)
    (process,) = backend.processes.values()
    process.kill()
    finished_run = wait_for_run(backend, lambda run: run.state.is_final)
    assert (finished_run.state, finished_run.message[:22]) == (RunState.FAILED, "the process was killed")


def test_a_name_is_one_folder(backend: BackgroundBackend, probe_pipeline: Path) -> None:
    for name in ("", "..", "a/b", "/tmp/a"):
        with pytest.raises(InputError, match="not a valid name for a folder"):
            backend.submit(PipelineJob(name, probe_pipeline))
