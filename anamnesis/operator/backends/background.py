"""Runs pipelines as processes of this machine, in the background. For one machine, not for a cluster.

Each run has a folder of its name with ``job.json`` (the job), ``run.json`` (the runner's record), ``cancelled`` (a
request to end) and ``error`` (why it did not start). A run ends when the operator that started it ends.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.pipelines.run_record import RECORD_FILE, ExecutionState, RunRecord, read_record
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

JOB_FILE, CANCEL_FILE, ERROR_FILE = "job.json", "cancelled", "error"
_INTERRUPTED_MESSAGE = (
    "interrupted: the operator that ran it ended; the next attempt continues from the last checkpoint"
)
_KILLED_MESSAGE = "the process was killed, perhaps out of memory; the next attempt continues from the last checkpoint"
_RUN_STATES = {
    ExecutionState.PENDING: RunState.PENDING,
    ExecutionState.RUNNING: RunState.RUNNING,
    ExecutionState.SUCCEEDED: RunState.SUCCEEDED,
    ExecutionState.FAILED: RunState.FAILED,
    ExecutionState.INTERRUPTED: RunState.INTERRUPTED,
}
Processes = MutableMapping[Path, "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class BackgroundBackend:
    """The local runner, in one process per run.

    Attributes:
        records_folder: has one folder per run, with the name of the run.
        clock: returns the time, UTC.
        environment_for: returns the environment of a job's steps.
        processes: folder -> a process that this operator started; back ends that share the folder share the map.
    """

    records_folder: Path
    clock: Clock
    environment_for: Callable[[PipelineJob], Mapping[str, str]]
    processes: Processes = field(default_factory=dict)

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend.runs``."""
        folders = [
            path.parent for path in self.records_folder.glob(f"*/{JOB_FILE}") if path.parent.name.startswith(prefix)
        ]
        return tuple(sorted(map(self._read_run, folders), key=lambda run: (run.created_at, run.name)))

    def submit(self, job: PipelineJob) -> Run:
        """See ``Backend.submit``.

        Raises:
            InputError: the name is not a valid folder name, or the folder is not writable.
        """
        folder = self.records_folder / job.name
        if folder.parent != self.records_folder or job.name in ("", ".", ".."):
            raise InputError(
                f"run {job.name!r}: not a valid name for a folder in {self.records_folder}; "
                "this is a fault of the program; report it with the operator's log"
            )
        if not (folder / JOB_FILE).exists():
            self._start(folder, job)
        return self._read_run(folder)

    def cancel(self, run: Run) -> None:
        """See ``Backend.cancel``; the process of the run ends within about two seconds."""
        folder = self.records_folder / run.name
        if (folder / JOB_FILE).exists() and not self._read_run(folder).state.is_final:
            (folder / CANCEL_FILE).touch()

    def is_outdated(self, run: Run, job: PipelineJob) -> bool:
        """See ``Backend.is_outdated``; a local run has no pods."""
        return False

    def _start(self, folder: Path, job: PipelineJob) -> None:
        environment = dict(self.environment_for(job))
        try:
            self._write_job_file(folder, job)
        except OSError as error:
            raise InputError(
                f"spec.backend: local runs cannot write to {self.records_folder} ({error.strerror}); "
                "mount a volume there (--state), or choose another back end"
            ) from error
        self.processes[folder] = subprocess.Popen(
            [sys.executable, "-m", "anamnesis.operator.backends.background_run", str(folder.resolve())],
            stdin=subprocess.PIPE,  # stays open as long as this process exists
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def _write_job_file(self, folder: Path, job: PipelineJob) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        document = {"created": self.clock().astimezone(UTC).isoformat(), "pipeline": str(job.pipeline.resolve())}
        temporary_file = folder / f"{JOB_FILE}.new"
        temporary_file.write_text(json.dumps(document | {"arguments": dict(job.arguments)}), encoding="utf-8")
        temporary_file.replace(folder / JOB_FILE)

    def _read_run(self, folder: Path) -> Run:
        process = self.processes.get(folder)
        is_alive = process is not None and process.poll() is None  # checked first: an ended process writes nothing more
        job_document = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
        run = Run(folder.name, folder.name, RunState.PENDING, datetime.fromisoformat(job_document["created"]))
        if process is not None and process.stdin and not is_alive:
            process.stdin.close()
        if (folder / RECORD_FILE).exists():
            run = _apply_record(run, read_record(folder))
        elif not is_alive:
            run = _run_without_record(run, folder)
        return _attribute_end(run, _cancel_time(folder), process is not None)


def _cancel_time(folder: Path) -> datetime | None:
    """Returns when somebody asked to end a run, or none."""
    try:
        return datetime.fromtimestamp((folder / CANCEL_FILE).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _apply_record(run: Run, record: RunRecord) -> Run:
    state = _RUN_STATES[record.state]
    end_time = datetime.fromisoformat(record.started) + timedelta(seconds=record.seconds)
    message = record.error if state is RunState.FAILED else ""
    return replace(run, state=state, message=message, finished_at=end_time if state.is_final else None)


def _run_without_record(run: Run, folder: Path) -> Run:
    """Returns the state of a run whose process ended without a record."""
    error_file = folder / ERROR_FILE
    if error_file.exists():
        return replace(
            run, state=RunState.FAILED, message=error_file.read_text(encoding="utf-8"), finished_at=run.created_at
        )
    return replace(run, state=RunState.INTERRUPTED, finished_at=run.created_at)


def _attribute_end(run: Run, cancelled_at: datetime | None, is_own_process: bool) -> Run:
    """Distinguishes a cancelled run, a killed process, and a run whose operator ended."""
    if cancelled_at and run.state is not RunState.SUCCEEDED:
        state = RunState.CANCELLED if run.state.is_final else RunState.CANCELLING
        return replace(run, state=state, message="", cancelling_since=cancelled_at)
    if run.state is RunState.INTERRUPTED:
        state, message = (RunState.FAILED, _KILLED_MESSAGE) if is_own_process else (run.state, _INTERRUPTED_MESSAGE)
        return replace(run, state=state, message=message)
    return run
