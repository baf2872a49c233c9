"""Finds in the registry why runs failed: the step that failed first wrote its own sentence there."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.runtime.bounded_cache import BoundedCache
from anamnesis.records import InputError, IntegrityError, RefusedError, StepFailure
from anamnesis.registry import read_step_failure
from anamnesis.storage import Store

log = logging.getLogger(__name__)
_LONGEST_MESSAGE = 600
"""Characters: the sentence around the message says what to do, and must have room in a condition."""
_SETTLING_TIME = timedelta(minutes=1)
"""After this time a run without a record never gets one: its steps write before they end."""
_PERMANENT_EXIT_CODES = (InputError.exit_code, RefusedError.exit_code, IntegrityError.exit_code)
"""Of steps that would fail again with the same input: a wrong key, another network, another store, damaged data."""


@dataclass(frozen=True, slots=True)
class _Explanation:
    message: str = ""
    is_permanent: bool = False


@dataclass(frozen=True, slots=True)
class RunFailures:
    """Reads the failure of each failed run once, not in every reconcile. Every call is safe from any thread.

    Attributes:
        explanations: registry and run -> what the step wrote.
    """

    explanations: BoundedCache[tuple[str, str, str], _Explanation] = field(default_factory=BoundedCache)

    def explain(
        self, runs: Iterable[Run], unfinished: Collection[str], registry: Store, author: str, now: datetime
    ) -> tuple[Run, ...]:
        """Returns the runs; a failed run has the message of its first failed step, where that is known.

        A step that refused its input would refuse it again: such a run is permanent.

        Args:
            runs: of one model.
            unfinished: names of its updates and evaluations that have no result.
            registry: of the model.
            author: the operator that started the runs.
            now: the time.

        Raises:
            UnreachableError: the registry is unreachable.
        """
        return tuple(
            self._explain(run, registry, author, now)
            if run.state is RunState.FAILED and run.name.rpartition("-")[0] in unfinished
            else run
            for run in runs
        )

    def _explain(self, run: Run, registry: Store, author: str, now: datetime) -> Run:
        key = (registry.url, author, run.name)
        explanation = self.explanations.get(key)
        if explanation is None:
            failure = _read_failure(registry, author, run.name)
            explanation = _describe_failure(failure) if failure else _Explanation()
            if failure or now - (run.finished_at or now) > _SETTLING_TIME:
                self.explanations.put(key, explanation)
        if not explanation.message:
            return run
        return replace(run, message=explanation.message, is_permanent=explanation.is_permanent)


def _read_failure(registry: Store, author: str, run: str) -> StepFailure | None:
    """A record that does not count must not stop the work on the model: it is logged and ignored."""
    try:
        return read_step_failure(registry, author, run)
    except (IntegrityError, InputError, RefusedError) as error:
        log.warning("the failure of the run %s is ignored: %s", run, error)
        return None


def _describe_failure(failure: StepFailure) -> _Explanation:
    text = " ".join(f"{failure.step}: {failure.message}".split())
    message = "".join(character for character in text if character.isprintable())
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return _Explanation(message, failure.exit_code in _PERMANENT_EXIT_CODES)
