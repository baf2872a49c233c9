"""Results of runs for the operator: update results by claim, and scheduled evaluations by name."""

from anamnesis.records import IntegrityError, ScheduledEvaluation, UpdateResult, digest_hex
from anamnesis.registry.registry_store import load_signed, write_signed
from anamnesis.storage.store import MissingObjectError, Store, check_key

UPDATE_RESULTS, SCHEDULED_EVALUATIONS = "update_results/", "scheduled_evaluations/"


def write_update_result(store: Store, update_result: UpdateResult) -> UpdateResult:
    """Writes the result of a run; returns the stored result: this one, or that of an earlier attempt."""
    return write_signed(store, _update_result_key(update_result.trigger.claim), update_result)


def read_update_result(store: Store, claim: str) -> UpdateResult | None:
    """Returns the update result of a claim, or none.

    Raises:
        IntegrityError: the result was changed, is stored under another key, or has no signature that counts.
    """
    key = _update_result_key(claim)
    try:
        return _load_update_result(store, key)
    except MissingObjectError:
        return None


def list_update_results(store: Store) -> tuple[UpdateResult, ...]:
    """Returns all update results, sorted by claim.

    Raises:
        IntegrityError: a result was changed, is stored under another key, or has no signature that counts.
    """
    return tuple(_load_update_result(store, info.key) for info in store.list(UPDATE_RESULTS))


def write_scheduled_evaluation(store: Store, evaluation: ScheduledEvaluation) -> ScheduledEvaluation:
    """Writes a scheduled evaluation; returns the stored one: this one, or that of an earlier attempt."""
    return write_signed(store, _scheduled_evaluation_key(evaluation.name), evaluation)


def read_scheduled_evaluation(store: Store, name: str) -> ScheduledEvaluation | None:
    """Returns the scheduled evaluation with this name, or none.

    Raises:
        IntegrityError: the evaluation was changed, is stored under another key, or has no signature that counts.
    """
    key = _scheduled_evaluation_key(name)
    try:
        evaluation = load_signed(store, ScheduledEvaluation, key)
    except MissingObjectError:
        return None
    if evaluation.name != name:
        raise IntegrityError(
            f"{key}: the object holds the evaluation {evaluation.name!r}; restore the object from a backup"
        )
    return evaluation


def _load_update_result(store: Store, key: str) -> UpdateResult:
    update_result = load_signed(store, UpdateResult, key)
    if key != _update_result_key(update_result.trigger.claim):
        raise IntegrityError(
            f"{store.url}/{key}: expected the result of the claim with this name, found the result of claim "
            f"{update_result.trigger.claim}: the object was overwritten; restore it from a backup"
        )
    return update_result


def _update_result_key(claim: str) -> str:
    return f"{UPDATE_RESULTS}{digest_hex(claim)}.json"


def _scheduled_evaluation_key(name: str) -> str:
    return check_key(f"{SCHEDULED_EVALUATIONS}{name}.json")
