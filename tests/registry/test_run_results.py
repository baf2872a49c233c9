"""Results of runs: the first result under a claim or a name counts, later ones are ignored."""

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


def update_result(build, name: str = "one") -> UpdateResult:
    source_state = SourceState(build.digest("files"), files=12, patients=6)
    return UpdateResult(
        trigger=UpdateTrigger(f"chest-{name}", build.digest(name), source_state, minimum_patients=5),
        site="lyon",
        base="",
        configuration=build.digest("c"),
        kind=UpdateResultKind.NO_CHANGE,
        snapshot=build.digest("snapshot"),
        test_set=build.digest("test set"),
    )


def scheduled_evaluation(build) -> ScheduledEvaluation:
    measurement = Measurement(
        site="lyon",
        task="p",
        evaluation_set=EvaluationSet.FROZEN,
        test_set=build.digest("t"),
        metric="AUROC",
        score=Metric(Decimal("0.81"), 40, Decimal("0.7"), Decimal("0.9")),
        recorded_score=Decimal("0.82"),
    )
    return ScheduledEvaluation(
        name="chest-evaluation-20260101T120000Z",
        version=build.digest("v"),
        scheduled_time="2026-01-01T12:00:00Z",
        measurements=(measurement,),
        site_errors=(("turin", "no such folder"),),
    )


def test_the_first_result_under_a_claim_counts(store: Store, build) -> None:
    first = update_result(build)
    version = build.stored(store)
    late = replace(first, kind=UpdateResultKind.CANDIDATE, version=version, new_patients=9, counts={"train": 9})
    assert read_update_result(store, first.trigger.claim) is None
    assert write_update_result(store, first) == first
    assert write_update_result(store, late) == first
    assert read_update_result(store, first.trigger.claim) == first
    other_result = replace(update_result(build, "other"), kind=UpdateResultKind.CANDIDATE, version=version)
    write_update_result(store, other_result)
    assert list_update_results(store) == tuple(sorted((first, other_result), key=lambda result: result.trigger.claim))
    assert verify_objects(store) == ()


def test_the_first_evaluation_under_a_name_counts(store: Store, build) -> None:
    first = scheduled_evaluation(build)
    assert read_scheduled_evaluation(store, first.name) is None
    assert write_scheduled_evaluation(store, first) == first
    assert write_scheduled_evaluation(store, replace(first, measurements=())) == first
    assert read_scheduled_evaluation(store, first.name) == first


def test_changed_bytes_are_found(folder: Store, build) -> None:
    first, evaluation = update_result(build), scheduled_evaluation(build)
    write_update_result(folder, first)
    write_scheduled_evaluation(folder, evaluation)
    for info in [*folder.list("update_results/"), *folder.list("scheduled_evaluations/")]:
        folder.put(info.key, folder.get(info.key).replace(b":", b": ", 1))
    with pytest.raises(IntegrityError, match="update_results/"):
        read_update_result(folder, first.trigger.claim)
    with pytest.raises(IntegrityError, match="scheduled_evaluations/"):
        read_scheduled_evaluation(folder, evaluation.name)


def test_a_wrong_key_and_a_missing_version_are_found(folder: Store, build) -> None:
    first, evaluation = update_result(build), scheduled_evaluation(build)
    other_result = replace(update_result(build, "other"), kind=UpdateResultKind.CANDIDATE, version=build.digest("gone"))
    write_update_result(folder, other_result)
    assert verify_objects(folder) == (
        f"result of update chest-other: the version {other_result.version} is missing; "
        "restore the version from a backup",
    )
    write_scheduled_evaluation(folder, evaluation)
    result_key, evaluation_key = (
        info.key for prefix in ("update_results/", "scheduled_evaluations/") for info in folder.list(prefix)
    )
    folder.put(f"update_results/{digest_hex(first.trigger.claim)}.json", folder.get(result_key))
    folder.put("scheduled_evaluations/other.json", folder.get(evaluation_key))
    with pytest.raises(IntegrityError, match=f"found the result of claim {other_result.trigger.claim}"):
        read_update_result(folder, first.trigger.claim)
    with pytest.raises(IntegrityError, match=f"holds the evaluation '{evaluation.name}'"):
        read_scheduled_evaluation(folder, "other")
    assert "found the result of claim" in verify_objects(folder)[0]


@pytest.mark.parametrize("name", ["../versions/x", "a//b"])
def test_a_name_stays_in_its_folder(folder: Store, build, name: str) -> None:
    with pytest.raises(InputError, match="cannot name an object"):
        write_scheduled_evaluation(folder, replace(scheduled_evaluation(build), name=name))
