"""Runs pipelines on this machine behind an operator that does other things meanwhile. For one machine, not a cluster.

Each run has a folder, found again by the run's name: ``job.json`` (what was asked), ``run.json`` (the runner's record),
``cancelled`` (it shall end). A run ends with the operator that began it, whatever ends that.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anamnesis.operator.backends.base import Job, Run, RunState
from anamnesis.pipelines.record import FILE, RunRecord, State, read_record
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

JOB, CANCELLED, PROBLEM = "job.json", "cancelled", "problem"
_INTERRUPTED = "interrupted: the operator that ran it ended; another attempt goes on where it was"
_KILLED = "killed, or out of memory; another attempt goes on where it was"
_STATES = {
    State.PENDING: RunState.PENDING,
    State.RUNNING: RunState.RUNNING,
    State.SUCCEEDED: RunState.SUCCEEDED,
    State.FAILED: RunState.FAILED,
    State.INTERRUPTED: RunState.INTERRUPTED,
}
Processes = MutableMapping[Path, "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class BackgroundBackend:
    """The local runner, in a process of its own for each run.

    Attributes:
        records: each run gets a folder in here, called like the run.
        clock: tells the time, UTC.
        environment: of a job's steps.
        processes: by folder, those that this process has ever started; back ends that share the folder share them.
    """

    records: Path
    clock: Clock
    environment: Callable[[Job], Mapping[str, str]]
    processes: Processes = field(default_factory=dict)

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend.runs``."""
        folders = [path.parent for path in self.records.glob(f"*/{JOB}") if path.parent.name.startswith(prefix)]
        return tuple(sorted(map(self._run, folders), key=lambda run: (run.created, run.name)))

    def submit(self, job: Job) -> Run:
        """See ``Backend.submit``.

        Raises:
            InputError: the name is none for a folder, or nothing can be written there.
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
        try:
            self._ask(folder, job)
        except OSError as error:
            raise InputError(
                f"spec.backend: local runs cannot write to {self.records} ({error.strerror}): give the operator a "
                "volume there (--state), or name another back end"
            ) from error
        self.processes[folder] = subprocess.Popen(
            [sys.executable, "-m", "anamnesis.operator.backends.background_run", str(folder.resolve())],
            stdin=subprocess.PIPE,  # open for as long as this process lives
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def _ask(self, folder: Path, job: Job) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        asked = {"created": self.clock().astimezone(UTC).isoformat(), "pipeline": str(job.pipeline.resolve())}
        temporary = folder / f"{JOB}.new"
        temporary.write_text(json.dumps(asked | {"arguments": dict(job.arguments)}), encoding="utf-8")
        temporary.replace(folder / JOB)

    def _run(self, folder: Path) -> Run:
        process = self.processes.get(folder)
        lives = process is not None and process.poll() is None  # asked first: nothing is written after its end
        asked = json.loads((folder / JOB).read_text(encoding="utf-8"))
        run = Run(folder.name, folder.name, RunState.PENDING, datetime.fromisoformat(asked["created"]))
        if process is not None and process.stdin and not lives:
            process.stdin.close()
        if (folder / FILE).exists():
            run = _recorded(run, read_record(folder))
        elif not lives:
            run = _never_begun(run, folder)
        return _blamed(run, (folder / CANCELLED).exists(), process is not None)


def _recorded(run: Run, record: RunRecord) -> Run:
    state = _STATES[record.state]
    ended = datetime.fromisoformat(record.started) + timedelta(seconds=record.seconds)
    message = record.error if state is RunState.FAILED else ""
    return replace(run, state=state, message=message, finished=ended if state.final else None)


def _never_begun(run: Run, folder: Path) -> Run:
    """Returns a run whose process ended before it had a record."""
    problem = folder / PROBLEM
    if problem.exists():
        return replace(run, state=RunState.FAILED, message=problem.read_text(encoding="utf-8"), finished=run.created)
    return replace(run, state=RunState.INTERRUPTED, finished=run.created)


def _blamed(run: Run, cancelled: bool, ours: bool) -> Run:
    """Says who ended a run: a person, whatever killed it under our eyes, or the end of the operator that began it."""
    if cancelled and run.state in (RunState.FAILED, RunState.INTERRUPTED):
        return replace(run, state=RunState.CANCELLED, message="")
    if run.state is RunState.INTERRUPTED:
        state, message = (RunState.FAILED, _KILLED) if ours else (run.state, _INTERRUPTED)
        return replace(run, state=state, message=message)
    return run
