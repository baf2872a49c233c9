"""Failures of steps: the first one of a run counts, and only a run's key writes one to a signed registry."""

from datetime import UTC, datetime, timedelta

import pytest
from registry.test_run_results import update_result
from registry.test_signing import OPERATOR, RUN, opened

from anamnesis.records import InputError, IntegrityError, RefusedError, StepFailure
from anamnesis.registry import (
    find_prunable,
    read_step_failure,
    verify_objects,
    write_step_failure,
    write_update_result,
)
from anamnesis.storage import Store

AUTHOR = "anamnesis-operator/uid-1"
FAILURE = StepFailure("chest-one-1", "train_ewc", "spec.training.epochs: 0", 2, "2026-11-20T12:00:00Z")
KEY = f"step_failures/{AUTHOR}/chest-one-1.json"


def test_the_first_failure_of_a_run_counts_for_its_operator_only(store: Store) -> None:
    later = StepFailure(FAILURE.run, "promote_model", "no version", 2, "2026-11-20T12:00:09Z")
    assert read_step_failure(store, AUTHOR, FAILURE.run) is None
    assert write_step_failure(store, AUTHOR, FAILURE) == FAILURE
    assert write_step_failure(store, AUTHOR, later) == FAILURE
    assert write_step_failure(store, "anamnesis-operator/uid-2", later) == later
    assert read_step_failure(store, AUTHOR, FAILURE.run) == FAILURE
    assert verify_objects(store) == ()


def test_a_forged_or_unsigned_failure_does_not_count_and_is_found(folder: Store) -> None:
    write_step_failure(folder, AUTHOR, FAILURE)
    runs = opened(folder, RUN)
    with pytest.raises(IntegrityError, match="it has no signature"):
        read_step_failure(runs, AUTHOR, FAILURE.run)
    assert any("it has no signature" in problem for problem in verify_objects(runs))
    folder.delete(KEY)
    with pytest.raises(RefusedError, match="has the role Operator"):
        write_step_failure(opened(folder, OPERATOR), AUTHOR, FAILURE)
    signed = write_step_failure(runs, AUTHOR, FAILURE)
    assert read_step_failure(runs, AUTHOR, FAILURE.run) == signed
    folder.put(KEY.replace("-1.json", "-2.json"), folder.get(KEY))
    with pytest.raises(IntegrityError, match="holds the failure of the run 'chest-one-1'"):
        read_step_failure(runs, AUTHOR, "chest-one-2")


def test_a_name_stays_in_its_folder(folder: Store) -> None:
    with pytest.raises(InputError, match="cannot name an object"):
        write_step_failure(folder, "../log", FAILURE)


def test_a_failure_is_pruned_with_its_update_or_after_months(store: Store, build) -> None:
    other = StepFailure("chest-two-1", "train_ewc", "text", 2, FAILURE.time)
    for failure in (FAILURE, other):
        write_step_failure(store, AUTHOR, failure)

    def prunable(days: int) -> set[str]:
        return {info.key for info in find_prunable(store, lambda: datetime.now(UTC) + timedelta(days=days))}

    assert prunable(2) == set()
    write_update_result(store, update_result(build, "one"))
    assert prunable(0) == set()
    assert prunable(2) == {KEY}
    assert prunable(100) == {KEY, KEY.replace("one", "two")}
