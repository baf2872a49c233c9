"""Logs as JSON, one line each. What libraries log or raise may quote an object: only the harmless part is kept."""

import json
import logging
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from anamnesis.records import AnamnesisError

OURS = "anamnesis"
QUIET = ("kopf", "kubernetes", "urllib3", "aiohttp", "asyncio", "py")
"""Of these only errors are told; ``py.warnings`` are Python's own."""
_FIELDS = ("key", "again")
_LONGEST = 300
_FRAMES = 8


class JsonLines(logging.Formatter):
    """Time, level, logger, message; ``key`` and ``again`` (seconds) where given; of an error its type and place."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1]:
            line |= _error(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(stream: IO[str], level: int = logging.INFO) -> None:
    """Sends all logs of this process to a stream; from libraries only errors."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.addFilter(_worth_telling)  # not levels of their loggers: Kubeflow's client sets those again
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


def _worth_telling(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name.partition(".")[0] not in QUIET


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name.partition(".")[0] == OURS:
        return text
    return text.partition("{")[0].partition("\n")[0][:_LONGEST]  # objects begin with a brace


def _error(error: BaseException) -> dict[str, Any]:
    told = {"error": type(error).__name__}
    if isinstance(error, AnamnesisError):
        told["reason"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {**told, "place": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]}


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "unknown"
    error = ended.exc_value
    details = (type(error), error, error.__traceback__) if error else None
    logging.getLogger(__name__).error("thread %s ended by an error", name, exc_info=details)
