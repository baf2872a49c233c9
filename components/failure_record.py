"""Reports why a step failed to the operator, through the registry: logs of pods may be out of its reach."""

import json
import threading
from collections.abc import Callable
from typing import Any

from anamnesis.records import SigningSettings, StepFailure, decode
from anamnesis.records.safe_errors import describe_error
from anamnesis.records.timestamps import format_timestamp, utc_now

WRITE_SECONDS = 10.0
"""How long the end of a step waits for the registry."""
MESSAGE_LIMIT = 2000


def record_failure(request: str, step: str, message: str, exit_code: int) -> str:
    """Writes why a step of an operator's run failed to the registry. Never raises an error, never takes long.

    Args:
        request: the pipeline parameter ``request``; without the name of a run nothing is written.
        step: name of the step.
        message: why it failed, without patient data.
        exit_code: of the error.

    Returns:
        Why the failure could not be written; empty where it is written, or the run is not an operator's.
    """
    problems: list[str] = []
    write = _writer(request, step, message[:MESSAGE_LIMIT], exit_code)
    if write is None:
        return ""

    def write_or_note() -> None:
        try:
            write()
        except Exception as error:  # the step reports its own error, whatever happens here
            problems.append(describe_error(error))

    thread = threading.Thread(target=write_or_note, daemon=True)  # a daemon does not keep the process alive
    thread.start()
    thread.join(WRITE_SECONDS)
    if thread.is_alive():
        return f"the registry does not answer within {WRITE_SECONDS:.0f} s"
    return problems[0] if problems else ""


def _writer(request: str, step: str, message: str, exit_code: int) -> Callable[[], object] | None:
    """Reads only what a failure needs, so that the failure of a request of another release is reported too."""
    try:
        document: Any = json.loads(request)
    except ValueError:
        return None
    if not isinstance(document, dict) or not (document.get("run") and document.get("author")):
        return None
    failure = StepFailure(str(document["run"]), step, message, exit_code, format_timestamp(utc_now()))

    def write() -> None:
        from anamnesis.registry.opening import open_registry
        from anamnesis.registry.step_failures import write_step_failure

        signing = decode(SigningSettings, document.get("signing") or {}, "request.signing")
        write_step_failure(open_registry(str(document["registry"]), signing), str(document["author"]), failure)

    return write
