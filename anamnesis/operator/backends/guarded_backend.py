"""A back end whose silence can be told from a registry's, and that obeys no leader of yesterday."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anamnesis.operator.backends.base import Backend, Job, Run
from anamnesis.records import UnreachableError


class BackendDownError(UnreachableError):
    """The back end does not answer."""


class GuardedBackend:
    """Meets ``Backend``; raises ``BackendDownError`` where the one behind is unreachable.

    Args:
        backend: the one behind.
        require: called before whatever changes something; what it raises stops it.
    """

    def __init__(self, backend: Backend, require: Callable[[], None]) -> None:
        self._backend, self._require = backend, require

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend``."""
        with _named():
            return self._backend.runs(prefix)

    def submit(self, job: Job) -> Run:
        """See ``Backend``."""
        self._require()
        with _named():
            return self._backend.submit(job)

    def cancel(self, run: Run) -> None:
        """See ``Backend``."""
        self._require()
        with _named():
            self._backend.cancel(run)


def guarded(make: Callable[[], Backend], require: Callable[[], None]) -> GuardedBackend:
    """Returns the back end that ``make`` makes, guarded.

    Raises:
        BackendDownError: it does not even answer when it is made.
    """
    with _named():
        return GuardedBackend(make(), require)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except UnreachableError as error:
        raise BackendDownError(str(error)) from error
