"""What runs found: the first result under a claim or a name counts, whatever later attempts find."""

from dataclasses import replace
from decimal import Decimal

import pytest

from anamnesis.records import (
    EvaluationSet,
    InputError,
    IntegrityError,
    Measurement,
    Metric,
    ScheduledEvaluation,
    SourceState,
    UpdateResult,
    UpdateResultKind,
    UpdateTrigger,
    digest_hex,
)
from anamnesis.registry import (
    list_update_results,
    read_scheduled_evaluation,
    read_update_result,
    verify_objects,
    write_scheduled_evaluation,
    write_update_result,
)
from anamnesis.storage import Store


def outcome(build, name: str = "one") -> UpdateResult:
    occasion = UpdateTrigger(
        f"chest-{name}", build.digest(name), SourceState(build.digest("files"), 12, 6), minimum_patients=5
    )
    snapshot, test_set = build.digest("snapshot"), build.digest("test set")
    return UpdateResult(occasion, "lyon", "", build.digest("c"), UpdateResultKind.NO_CHANGE, snapshot, test_set)


def monitoring(build) -> ScheduledEvaluation:
    score = Metric(Decimal("0.81"), 40, Decimal("0.7"), Decimal("0.9"))
    measurement = Measurement("lyon", "p", EvaluationSet.FROZEN, build.digest("t"), "AUROC", score, Decimal("0.82"))
    name = "chest-evaluation-20260101T120000Z"
    return ScheduledEvaluation(
        name, build.digest("v"), "2026-01-01T12:00:00Z", (measurement,), (("turin", "no such folder"),)
    )


def test_the_first_outcome_under_a_claim_counts(store: Store, build) -> None:
    first = outcome(build)
    version = build.stored(store)
    late = replace(first, kind=UpdateResultKind.CANDIDATE, version=version, new_patients=9, counts={"train": 9})
    assert read_update_result(store, first.trigger.claim) is None
    assert write_update_result(store, first) == first
    assert write_update_result(store, late) == first
    assert read_update_result(store, first.trigger.claim) == first
    other_outcome = replace(outcome(build, "other"), kind=UpdateResultKind.CANDIDATE, version=version)
    write_update_result(store, other_outcome)
    assert list_update_results(store) == tuple(sorted((first, other_outcome), key=lambda result: result.trigger.claim))
    assert verify_objects(store) == ()


def test_the_first_evaluation_under_a_name_counts(store: Store, build) -> None:
    first = monitoring(build)
    assert read_scheduled_evaluation(store, first.name) is None
    assert write_scheduled_evaluation(store, first) == first
    assert write_scheduled_evaluation(store, replace(first, measurements=())) == first
    assert read_scheduled_evaluation(store, first.name) == first


def test_changed_bytes_are_found(folder: Store, build) -> None:
    first, evaluation = outcome(build), monitoring(build)
    write_update_result(folder, first)
    write_scheduled_evaluation(folder, evaluation)
    for info in [*folder.list("update_results/"), *folder.list("scheduled_evaluations/")]:
        folder.put(info.key, folder.get(info.key).replace(b"lyon", b"LYON", 1).replace(b":1", b": 1", 1))
    with pytest.raises(IntegrityError, match="update_results/"):
        read_update_result(folder, first.trigger.claim)
    with pytest.raises(IntegrityError, match="scheduled_evaluations/"):
        read_scheduled_evaluation(folder, evaluation.name)


def test_one_in_anothers_place_and_a_missing_version_are_found(folder: Store, build) -> None:
    first, evaluation = outcome(build), monitoring(build)
    other_outcome = replace(outcome(build, "other"), kind=UpdateResultKind.CANDIDATE, version=build.digest("gone"))
    write_update_result(folder, other_outcome)
    assert verify_objects(folder) == (f"outcome of chest-other: its version {other_outcome.version} is missing",)
    write_scheduled_evaluation(folder, evaluation)
    outcome_key, evaluation_key = (
        info.key for prefix in ("update_results/", "scheduled_evaluations/") for info in folder.list(prefix)
    )
    folder.put(f"update_results/{digest_hex(first.trigger.claim)}.json", folder.get(outcome_key))
    folder.put("scheduled_evaluations/other.json", folder.get(evaluation_key))
    with pytest.raises(IntegrityError, match=f"is that of the claim {other_outcome.trigger.claim}"):
        read_update_result(folder, first.trigger.claim)
    with pytest.raises(IntegrityError, match=f"is that of '{evaluation.name}'"):
        read_scheduled_evaluation(folder, "other")
    assert "its bytes were changed" in verify_objects(folder)[0]


@pytest.mark.parametrize("name", ["../versions/x", "a//b"])
def test_a_name_stays_in_its_folder(folder: Store, build, name: str) -> None:
    with pytest.raises(InputError, match="cannot name an object"):
        write_scheduled_evaluation(folder, replace(monitoring(build), name=name))
