"""A back end whose silence can be told from a registry's, and that obeys no leader of yesterday."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anamnesis.operator.backends.base import Backend, PipelineJob, Run
from anamnesis.records import UnreachableError


class BackendDownError(UnreachableError):
    """The back end does not answer."""


class GuardedBackend:
    """Meets ``Backend``; raises ``BackendDownError`` where the one behind is unreachable.

    Args:
        backend: the one behind.
        require: called before whatever changes something; what it raises stops it.
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
    """Returns the back end that ``make_backend`` makes, guarded.

    Raises:
        BackendDownError: it does not even answer when it is made.
    """
    with _as_backend_error():
        return GuardedBackend(make_backend(), ensure_leader)


@contextmanager
def _as_backend_error() -> Iterator[None]:
    try:
        yield
    except UnreachableError as error:
        raise BackendDownError(str(error)) from error
