"""Logs as JSON lines. Messages and errors of libraries may quote an object: only their harmless part is logged."""

import json
import logging
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from anamnesis.records import AnamnesisError

OWN_LOGGER = "anamnesis"
QUIET_LOGGERS = ("kubernetes", "urllib3", "asyncio", "py")
"""Loggers of libraries: only their errors are logged; ``py.warnings`` is the logger of Python's own warnings."""
_EXTRA_FIELDS = ("key", "requeue_after_seconds")
_MESSAGE_LIMIT = 300
_FRAME_LIMIT = 8


class JsonLineFormatter(logging.Formatter):
    """Time, level, logger, message; ``key`` and ``requeue_after_seconds`` where given; type and place of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _safe_message(record),
        }
        line |= {name: getattr(record, name) for name in _EXTRA_FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1]:
            line |= _error_fields(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(stream: IO[str], level: int = logging.INFO) -> None:
    """Sends all logs of this process to a stream; of libraries only errors."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLineFormatter())
    handler.addFilter(_should_log)  # a filter, because Kubeflow's client resets the levels of loggers
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error


def _should_log(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name.partition(".")[0] not in QUIET_LOGGERS


def _safe_message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name.partition(".")[0] == OWN_LOGGER:
        return text
    return text.partition("{")[0].partition("\n")[0][:_MESSAGE_LIMIT]  # objects begin with a brace


def _error_fields(error: BaseException) -> dict[str, Any]:
    error_fields = {"error": type(error).__name__}
    if isinstance(error, AnamnesisError):
        error_fields["reason"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)[-_FRAME_LIMIT:]
    return {**error_fields, "place": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]}


def _log_thread_error(hook_arguments: threading.ExceptHookArgs) -> None:
    name = hook_arguments.thread.name if hook_arguments.thread else "unknown"
    error = hook_arguments.exc_value
    details = (type(error), error, error.__traceback__) if error else None
    logging.getLogger(__name__).error("an unexpected error ended thread %s", name, exc_info=details)
