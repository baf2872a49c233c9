"""Keeps the words of other libraries out of standard output and error: they may quote a header or a file name.

Kubeflow copies the output of a step to its log, and may keep the log for ever.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from anamnesis.records.safe_errors import format_safe_traceback

_WARNINGS_VARIABLE = "PYTHONWARNINGS"


@contextmanager
def private_output() -> Iterator[None]:
    """Mutes warnings and logs; errors that no code handles are printed with type and place only.

    This covers threads, destructors, and processes that start inside the block.
    """
    environment, handlers = os.environ.get(_WARNINGS_VARIABLE), (warnings.showwarning, logging.root.manager.disable)
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    mute_process()
    os.environ[_WARNINGS_VARIABLE] = "ignore"  # for processes that start inside the block
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
        warnings.showwarning, logging.root.manager.disable = handlers
        if environment is None:
            del os.environ[_WARNINGS_VARIABLE]
        else:
            os.environ[_WARNINGS_VARIABLE] = environment


def mute_process() -> None:
    """Does the same for the rest of this process: a worker that another process started."""
    warnings.showwarning = _ignore_warning
    logging.disable(logging.CRITICAL)
    sys.excepthook = _print_safely
    sys.unraisablehook = lambda event: _print_safely(event.exc_type, event.exc_value, event.exc_traceback)
    threading.excepthook = lambda event: _print_safely(event.exc_type, event.exc_value, event.exc_traceback)


def _ignore_warning(*_: object, **__: object) -> None:
    """Takes the place of ``warnings.showwarning``."""


def _print_safely(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    print(format_safe_traceback(error) if error else kind.__name__, file=sys.stderr)
