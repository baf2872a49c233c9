"""Runs pipelines on this machine behind an operator that does other things meanwhile. For one machine, not a cluster.

Each run has a folder, found again by the run's name: ``job.json`` (what was asked), ``run.json`` (the runner's record),
``cancelled`` (it shall end). A run ends with the operator that began it, whatever ends that.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anamnesis.operator.backends.base import Job, Run, RunState
from anamnesis.pipelines.record import FILE, RunRecord, State, read_record
from anamnesis.records import InputError

JOB, CANCELLED, PROBLEM = "job.json", "cancelled", "problem"
_INTERRUPTED = "interrupted: the operator that ran it ended or it was killed; another attempt goes on where it was"
_STATES = {
    State.PENDING: RunState.PENDING,
    State.RUNNING: RunState.RUNNING,
    State.SUCCEEDED: RunState.SUCCEEDED,
    State.FAILED: RunState.FAILED,
    State.INTERRUPTED: RunState.FAILED,
}
Processes = MutableMapping[Path, "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class BackgroundBackend:
    """The local runner, in a process of its own for each run.

    Attributes:
        records: each run gets a folder in here, called like the run.
        clock: tells the time, UTC.
        environment: of a job's steps.
        processes: by folder, those that this process has started; back ends that share the folder share them.
    """

    records: Path
    clock: Callable[[], datetime]
    environment: Callable[[Job], Mapping[str, str]]
    processes: Processes = field(default_factory=dict)

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend.runs``."""
        folders = [path.parent for path in self.records.glob(f"*/{JOB}") if path.parent.name.startswith(prefix)]
        return tuple(sorted(map(self._run, folders), key=lambda run: (run.created, run.name)))

    def submit(self, job: Job) -> Run:
        """See ``Backend.submit``.

        Raises:
            InputError: the name is none for a folder.
        """
        folder = self.records / job.name
        if folder.parent != self.records or job.name in ("", ".", ".."):
            raise InputError(f"run {job.name!r}: not a name for a folder in {self.records}")
        if not (folder / JOB).exists():
            self._begin(folder, job)
        return self._run(folder)

    def cancel(self, run: Run) -> None:
        """See ``Backend.cancel``; the run's own process sees it and ends within a second or two."""
        folder = self.records / run.name
        if (folder / JOB).exists() and not self._run(folder).state.final:
            (folder / CANCELLED).touch()

    def _begin(self, folder: Path, job: Job) -> None:
        environment = dict(self.environment(job))
        folder.mkdir(parents=True, exist_ok=True)
        asked = {"created": self.clock().astimezone(UTC).isoformat(), "pipeline": str(job.pipeline.resolve())}
        temporary = folder / f"{JOB}.new"
        temporary.write_text(json.dumps(asked | {"arguments": dict(job.arguments)}), encoding="utf-8")
        temporary.replace(folder / JOB)
        self.processes[folder] = subprocess.Popen(
            [sys.executable, "-m", "anamnesis.operator.backends.background_run", str(folder.resolve())],
            stdin=subprocess.PIPE,  # open for as long as this process lives
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def _run(self, folder: Path) -> Run:
        lives = self._lives(folder)  # asked first: nothing is written after its end
        asked = json.loads((folder / JOB).read_text(encoding="utf-8"))
        run = Run(folder.name, folder.name, RunState.PENDING, datetime.fromisoformat(asked["created"]))
        if (folder / FILE).exists():
            return _recorded(run, read_record(folder), (folder / CANCELLED).exists())
        return run if lives else _never_begun(run, folder)

    def _lives(self, folder: Path) -> bool:
        process = self.processes.get(folder)
        if process is None or process.poll() is None:
            return process is not None
        if process.stdin:
            process.stdin.close()
        self.processes.pop(folder, None)
        return False


def _recorded(run: Run, record: RunRecord, cancelled: bool) -> Run:
    state = _STATES[record.state]
    if cancelled and state is RunState.FAILED:
        state = RunState.CANCELLED
    message = _INTERRUPTED if record.state is State.INTERRUPTED else record.error
    ended = datetime.fromisoformat(record.started) + timedelta(seconds=record.seconds)
    failed = state is RunState.FAILED
    return Run(run.id, run.name, state, run.created, message if failed else "", ended if state.final else None)


def _never_begun(run: Run, folder: Path) -> Run:
    """Returns a run whose process ended before it had a record."""
    problem = folder / PROBLEM
    state = RunState.CANCELLED if (folder / CANCELLED).exists() else RunState.FAILED
    message = problem.read_text(encoding="utf-8") if problem.exists() else _INTERRUPTED
    return Run(run.id, run.name, state, run.created, message if state is RunState.FAILED else "", run.created)
