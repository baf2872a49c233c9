"""The scheduled evaluation of the champion: frozen test sets again, and recent cases before any training uses them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anamnesis import steps
from anamnesis.records import (
    EvaluationSet,
    LabelSource,
    ScheduledEvaluation,
    Split,
    Target,
    Task,
    TaskType,
    decode,
    encode_object,
)
from anamnesis.registry import Log, read_scheduled_evaluation
from anamnesis.snapshots import ImageRecord, SampleRecord, SnapshotManifest
from anamnesis.snapshots.manifest import write_snapshot_manifest
from anamnesis.storage import open_store
from anamnesis.updates import EvaluationRequest
from anamnesis.updates.scheduled_evaluation import recent_case_ids

if TYPE_CHECKING:
    from conftest import UpdateRunner


def request_of(runner: "UpdateRunner", name: str = "evaluation-1", minimum: int = 4) -> EvaluationRequest:
    sites = tuple((runner.config(site_ref.name), site_ref) for site_ref in runner.learned_sites)
    return EvaluationRequest(
        name=name,
        model="model",
        registry=runner.registry,
        version=runner.base,
        sites=sites,
        split_keys={config.name: runner.split_key_url for config, _ in sites},
        time="2026-01-01T00:00:00Z",
        minimum_cases=minimum,
    )


def evaluate(request: EvaluationRequest) -> ScheduledEvaluation:
    evaluation = decode(
        ScheduledEvaluation, steps.evaluate_scheduled(encode_object(request), 1)["scheduled_evaluation"]
    )
    assert read_scheduled_evaluation(open_store(request.registry), request.name) == evaluation
    return evaluation


def case_counts(evaluation: ScheduledEvaluation) -> dict[tuple[str, EvaluationSet], int]:
    return {
        (measurement.site, measurement.evaluation_set): measurement.score.n for measurement in evaluation.measurements
    }


@pytest.fixture
def trained_runner(runner: "UpdateRunner") -> "UpdateRunner":
    """A model that has learned two sites."""
    for site in ("north", "east"):
        runner.update(site)
    return runner


def test_the_frozen_sets_are_evaluated_again(trained_runner: "UpdateRunner") -> None:
    head = Log(open_store(trained_runner.registry)).head()
    evaluation = evaluate(request_of(trained_runner))
    assert case_counts(evaluation) == {("north", EvaluationSet.FROZEN): 8, ("east", EvaluationSet.FROZEN): 9}
    assert (evaluation.version, evaluation.site_errors) == (trained_runner.base, ())
    for measurement, site in zip(evaluation.measurements, trained_runner.learned_sites, strict=True):
        assert (measurement.test_set, measurement.task, measurement.metric) == (
            site.test_set,
            site.task.name,
            "Accuracy",
        )
        assert measurement.recorded_score == measurement.score.value  # the same machine and bits
        assert measurement.score.low is not None
    assert Log(open_store(trained_runner.registry)).head() == head

    store = open_store(trained_runner.registry)
    for info in [info for info in store.list("versions/") if "/evaluations/" in info.key]:
        store.delete(info.key)
    second_evaluation = evaluate(request_of(trained_runner, "evaluation-2"))
    assert [measurement.score for measurement in second_evaluation.measurements] == [
        measurement.score for measurement in evaluation.measurements
    ]
    assert {measurement.recorded_score for measurement in second_evaluation.measurements} == {None}


def test_cases_that_arrived_since_are_judged_until_they_are_learned(trained_runner: "UpdateRunner") -> None:
    trained_runner.write_images("north", patients=36)
    evaluation = evaluate(request_of(trained_runner, minimum=12))
    assert (
        case_counts(evaluation)["north", EvaluationSet.RECENT] == 12
    )  # eight of the training side, four of the reserve
    (recent,) = (
        measurement for measurement in evaluation.measurements if measurement.evaluation_set is EvaluationSet.RECENT
    )
    assert (recent.recorded_score, recent.score.low is not None) == (None, True)
    assert ("north", EvaluationSet.RECENT) not in case_counts(
        evaluate(request_of(trained_runner, "evaluation-2", minimum=13))
    )
    trained_runner.update("north")
    assert ("north", EvaluationSet.RECENT) not in case_counts(
        evaluate(request_of(trained_runner, "evaluation-3", minimum=1))
    )


def test_a_metric_that_needs_two_classes_waits_for_them(trained_runner: "UpdateRunner") -> None:
    trained_runner.write_images("north", patients=36)
    request = request_of(trained_runner)
    (config, site), *other_sites = request.sites
    task = replace(site.task, primary_metric="AUROC")
    config = replace(config, task=task, labels=LabelSource(ignore=("right",)))
    evaluation = evaluate(replace(request, sites=((config, replace(site, task=task)), *other_sites)))
    assert evaluation.site_errors == ()
    assert case_counts(evaluation) == {("north", EvaluationSet.FROZEN): 8, ("east", EvaluationSet.FROZEN): 9}


def test_an_unreadable_site_does_not_stop_the_others(trained_runner: "UpdateRunner") -> None:
    shutil.rmtree(trained_runner.root / "sources" / "north")
    evaluation = evaluate(request_of(trained_runner))
    assert set(case_counts(evaluation)) == {("north", EvaluationSet.FROZEN), ("east", EvaluationSet.FROZEN)}
    ((site, problem),) = evaluation.site_errors
    assert (site, "the folder does not exist" in problem) == ("north", True)

    shutil.rmtree(trained_runner.root / "stores" / "north")
    evaluation = evaluate(request_of(trained_runner, "evaluation-2"))
    assert set(case_counts(evaluation)) == {("east", EvaluationSet.FROZEN)}
    assert {site for site, _ in evaluation.site_errors} == {"north"}


def test_a_name_is_evaluated_once(trained_runner: "UpdateRunner") -> None:
    first = evaluate(request_of(trained_runner))
    shutil.rmtree(trained_runner.root / "stores")
    trained_runner.base = ""
    assert evaluate(request_of(trained_runner)) == first


def sample(name: str, split: Split, patient: str = "", content: str = "") -> SampleRecord:
    image = ImageRecord(
        content=content or f"pixels of {name}", dtype="uint8", shape=(1, 1), spacing=(1.0, 1.0), axes="YX"
    )
    mask = ImageRecord(content="the same empty mask", dtype="uint8", shape=(1, 1), spacing=(1.0, 1.0), axes="YX")
    target = None if split is Split.PENDING else Target(mask="mask")
    return SampleRecord(
        id=name,
        patient=patient or f"patient of {name}",
        study="s",
        split=split,
        images={"OT": image, "mask": mask},
        target=target,
    )


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[..., str]:
    task = Task("t", TaskType.SEGMENTATION, ("background", "lesion"), "Dice")
    store = open_store(str(tmp_path))
    return lambda *samples: write_snapshot_manifest(
        store,
        SnapshotManifest(
            site="north", task=task, modalities=("OT",), key_fingerprint="k", test_set="t", samples=samples
        ),
    )


def test_recent_cases_are_new_cases_of_new_patients(snapshot: Callable[..., str], tmp_path: Path) -> None:
    earlier_snapshots = [
        snapshot(sample("first", Split.TRAIN)),
        snapshot(
            sample("trained", Split.TRAIN, "known"),
            sample("waiting", Split.RESERVE),
            sample("tested", Split.TEST),
            sample("unlabelled", Split.PENDING),
            sample("odd one", Split.PENDING, "known"),
        ),
    ]
    current_snapshot = snapshot(
        sample("first", Split.TRAIN),
        sample("trained", Split.TRAIN, "known"),
        sample("waiting", Split.RESERVE),
        sample("tested", Split.TEST),
        sample("unlabelled", Split.TRAIN),  # its label came
        sample("odd one", Split.TRAIN, "known"),  # so did this, but its patient was learned
        sample("new", Split.TRAIN),
        sample("new, of a test patient", Split.RESERVE, "patient of tested"),
        sample("under another number", Split.TRAIN, content="pixels of waiting"),
        sample("still unlabelled", Split.PENDING),
    )
    store = open_store(str(tmp_path))
    assert recent_case_ids(store, current_snapshot, tuple(earlier_snapshots)) == {
        "unlabelled",
        "new",
        "new, of a test patient",
    }
    assert recent_case_ids(store, current_snapshot, (*earlier_snapshots, current_snapshot)) == frozenset()
    assert len(recent_case_ids(store, current_snapshot, ())) == 8
