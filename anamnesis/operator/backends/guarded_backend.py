"""A back end with an error type of its own for outages, and that only the leader can use to change runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anamnesis.operator.backends.base import Backend, PipelineJob, Run
from anamnesis.records import UnreachableError


class BackendDownError(UnreachableError):
    """The back end is unreachable."""


class GuardedBackend:
    """Implements ``Backend``; raises ``BackendDownError`` if the wrapped back end is unreachable.

    Args:
        backend: the wrapped back end.
        ensure_leader: called before every change; its error prevents the change.
    """

    def __init__(self, backend: Backend, ensure_leader: Callable[[], None]) -> None:
        self._backend, self._ensure_leader = backend, ensure_leader

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend``."""
        with _as_backend_error():
            return self._backend.runs(prefix)

    def submit(self, job: PipelineJob) -> Run:
        """See ``Backend``."""
        self._ensure_leader()
        with _as_backend_error():
            return self._backend.submit(job)

    def cancel(self, run: Run) -> None:
        """See ``Backend``."""
        self._ensure_leader()
        with _as_backend_error():
            self._backend.cancel(run)


def make_guarded_backend(make_backend: Callable[[], Backend], ensure_leader: Callable[[], None]) -> GuardedBackend:
    """Returns the back end of ``make_backend``, guarded.

    Raises:
        BackendDownError: the back end is unreachable when it is made.
    """
    with _as_backend_error():
        return GuardedBackend(make_backend(), ensure_leader)


@contextmanager
def _as_backend_error() -> Iterator[None]:
    try:
        yield
    except UnreachableError as error:
        raise BackendDownError(str(error)) from error
