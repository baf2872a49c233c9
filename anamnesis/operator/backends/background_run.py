"""One run of ``BackgroundBackend``: ``python -m anamnesis.operator.backends.background_run <folder>``.

Its standard input is a pipe that only the operator holds open. When the pipe closes, or a file ``cancelled`` appears,
the run is interrupted, and its record says so.
"""

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path

from anamnesis.operator.backends.background import CANCEL_FILE, ERROR_FILE, JOB_FILE
from anamnesis.pipelines.run_record import RECORD_FILE
from anamnesis.pipelines.runner import run_local
from anamnesis.records import AnamnesisError, ignore_progress

_POLL_SECONDS = 0.2


def main(folder: Path) -> int:
    """Runs the pipeline of ``job.json``; returns 0 on success."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_interrupt_when_stopped, args=(folder,), daemon=True).start()
    job_document = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    try:
        run_local(Path(job_document["pipeline"]), job_document["arguments"], folder, ignore_progress)
    except AnamnesisError as error:
        if not (folder / RECORD_FILE).exists():
            (folder / ERROR_FILE).write_text(str(error), encoding="utf-8")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _interrupt_when_stopped(folder: Path) -> None:
    while not (folder / CANCEL_FILE).exists():
        readable_inputs, _, _ = select.select([sys.stdin], [], [], _POLL_SECONDS)
        if readable_inputs:
            break
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
