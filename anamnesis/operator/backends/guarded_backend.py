"""A back end with one error type of its own, and that only the leader can use to change runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anamnesis.operator.api.reasons import INVALID_SPEC, REFUSED, UNREACHABLE
from anamnesis.operator.backends.base import Backend, PipelineJob, Run
from anamnesis.operator.runtime.cluster import ClusterDownError, LeadershipLostError
from anamnesis.records import AnamnesisError, InputError, RefusedError


class BackendError(AnamnesisError):
    """The back end is not usable: unreachable, it refuses the operator, or its settings are wrong.

    Attributes:
        reason: of the condition ``BackendReachable``.
    """

    def __init__(self, error: AnamnesisError) -> None:
        super().__init__(str(error))
        reasons: dict[type[AnamnesisError], str] = {InputError: INVALID_SPEC, RefusedError: REFUSED}
        self.reason = next((reason for kind, reason in reasons.items() if isinstance(error, kind)), UNREACHABLE)


class GuardedBackend:
    """Implements ``Backend``; raises ``BackendError`` if the wrapped back end is not usable.

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

    def is_outdated(self, run: Run, job: PipelineJob) -> bool:
        """See ``Backend``."""
        with _as_backend_error():
            return self._backend.is_outdated(run, job)


def make_guarded_backend(make_backend: Callable[[], Backend], ensure_leader: Callable[[], None]) -> GuardedBackend:
    """Returns the back end of ``make_backend``, guarded.

    Raises:
        BackendError: the back end is not usable when it is made.
    """
    with _as_backend_error():
        return GuardedBackend(make_backend(), ensure_leader)


@contextmanager
def _as_backend_error() -> Iterator[None]:
    try:
        yield
    except (ClusterDownError, LeadershipLostError):  # errors of the API server, which a back end asks for Secrets
        raise
    except AnamnesisError as error:
        raise BackendError(error) from error
