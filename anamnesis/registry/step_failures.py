"""Failures of steps, by the operator and the run: the first failure of a run counts, it is the cause of the others."""

from collections.abc import Iterator

from anamnesis.records import IntegrityError, StepFailure
from anamnesis.registry.registry_store import load_signed, write_signed
from anamnesis.storage.store import MissingObjectError, ObjectInfo, Store, check_key

STEP_FAILURES = "step_failures/"


def write_step_failure(store: Store, author: str, failure: StepFailure) -> StepFailure:
    """Writes the failure of a step; returns the stored failure: this one, or that of another step of the same run.

    Args:
        store: the registry.
        author: the operator that started the run: operators that share a registry may have runs of one name.
        failure: see ``StepFailure``.
    """
    return write_signed(store, _failure_key(author, failure.run), failure)


def read_step_failure(store: Store, author: str, run: str) -> StepFailure | None:
    """Returns the first failure of a run, or none.

    Raises:
        IntegrityError: the failure was changed, is of another run, or has no signature that counts.
    """
    key = _failure_key(author, run)
    try:
        failure = load_signed(store, StepFailure, key)
    except MissingObjectError:
        return None
    if failure.run != run:
        raise IntegrityError(f"{key}: the object holds the failure of the run {failure.run!r}; delete the object")
    return failure


def list_step_failures(store: Store) -> Iterator[tuple[ObjectInfo, str, str]]:
    """Yields each stored failure with its operator and its run, without reading it."""
    for info in store.list(STEP_FAILURES):
        author, _, file_name = info.key.removeprefix(STEP_FAILURES).rpartition("/")
        yield info, author, file_name.removesuffix(".json")


def _failure_key(author: str, run: str) -> str:
    return check_key(f"{STEP_FAILURES}{author}/{run}.json")
