"""Evaluations at the stored operating point: what AUROC does not show is seen, and patients count, not images."""

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import torch

from anamnesis.methods import method_class
from anamnesis.records import Evaluation, HeldOutSet, InputError, TrainingSettings, canonical_json
from anamnesis.registry import read_evaluations, read_version
from anamnesis.registry.evaluations import evaluation_key
from anamnesis.registry.looks import read_looks
from anamnesis.snapshots.sample_assembly import content_digests
from anamnesis.snapshots.training_sets import TrainingSet, list_training_sets, write_training_set
from anamnesis.storage import open_store
from anamnesis.updates import evaluated_version
from anamnesis.updates.case_predictions import predictions_key
from anamnesis.updates.case_sets import find_validation_cases
from anamnesis.updates.frozen_evaluation import evaluate_frozen

if TYPE_CHECKING:
    from conftest import UpdateRunner


def evaluation_of(runner: "UpdateRunner", version: str, site: str = "north") -> Evaluation:
    (evaluation,) = (
        each
        for each in read_evaluations(open_store(runner.registry), version)
        if (each.name, each.site) == ("forgetting", site)
    )
    return evaluation


def change_head(monkeypatch: pytest.MonkeyPatch, bias: float = 0.0, factor: float = 1.0) -> None:
    """Changes the head at the end of each training: ``bias`` is added to the first class, all scores are multiplied."""

    def end_task(method, context, data):
        with torch.no_grad():
            method.network.head.bias[0] += bias
            method.network.head.weight *= factor
            method.network.head.bias *= factor

    monkeypatch.setattr(method_class("finetune"), "end_task", end_task)


@pytest.mark.parametrize("held_out", ["", "val", "calibration"])
def test_a_recall_that_collapses_at_equal_auroc_is_seen(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch, held_out: str
) -> None:
    """Held-out patients give the threshold again at the site: then the recall is as good as the ranking."""
    runner.training = TrainingSettings(epochs=12, batch_size=8, learning_rate=5e-3, augment=False)
    runner.write_split_images(train=60, test=60, **({held_out: 60} if held_out else {}))
    first = str(runner.update("north")["train"]["version"])
    runner.training = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-9, augment=False)
    change_head(monkeypatch, bias=20.0)
    second = str(runner.update("south")["train"]["version"])  # the same task, with almost no training

    before, after = (evaluation_of(runner, version).metrics for version in (first, second))
    assert before["AUROC"].value == after["AUROC"].value > Decimal("0.8")
    assert before["Recall/right"].value >= Decimal("0.7")
    drops = {item.metric: item for item in evaluation_of(runner, second).differences}
    assert set(drops) == {"Accuracy", "AUROC", "Recall/left", "Recall/right"}
    assert {item.reference for item in drops.values()} == {first}
    assert drops["AUROC"].drop == 0
    points = [evaluation_of(runner, version).operating_point for version in (first, second)]
    if held_out:
        source = HeldOutSet.CALIBRATION if held_out == "calibration" else HeldOutSet.VALIDATION
        assert all(point and point.source is source for point in points)
        assert points[0] != points[1], "fitted again for the second version"
        assert abs(drops["Recall/right"].drop) < Decimal("0.1")
    else:
        assert points == [None, None]
        assert after["Recall/right"].value == 0
        assert drops["Recall/right"].drop == before["Recall/right"].value


def test_validation_patients_who_left_or_were_learned_fit_no_operating_point(runner: "UpdateRunner") -> None:
    runner.write_split_images(train=24, test=24, val=24)
    version = read_version(open_store(runner.registry), str(runner.update("north")["train"]["version"]))
    (site,) = runner.learned_sites
    store = open_store(site.store)
    cases = find_validation_cases(site, [version])
    assert cases is not None
    assert len(set(cases.patients)) == 24
    unknown = replace(version, training_set=None)
    assert find_validation_cases(site, [version, unknown]) is None, "nobody knows whom that version learned"

    # An earlier version learned four of them, under the pseudonyms of another split key.
    contents = {f"other {number}": content_digests(record) for number, record in enumerate(cases.records[:4])}
    earlier_set = TrainingSet("north", {"left": contents})
    write_training_set(store, len(list_training_sets(store)) + 1, earlier_set)
    earlier = replace(version, training_set=earlier_set.digest)
    remaining = find_validation_cases(site, [version, earlier])
    assert remaining is not None
    assert remaining.records == cases.records[4:]

    withdrawal = {"number": 1, "patients": [cases.patients[4]], "schema": 1}
    store.put("withdrawals/00000000000000000001.json", canonical_json(withdrawal))
    assert find_validation_cases(site, [version, earlier]) is None, "19 patients are too few"
    with pytest.raises(InputError, match="training set was deleted: restore it"):
        find_validation_cases(site, [replace(version, training_set=f"sha256:{'0' * 64}")])


@pytest.mark.parametrize("calibration_patients", [0, 80])
def test_confident_and_wrong_probabilities_are_measured(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch, calibration_patients: int
) -> None:
    """Without held-out patients nothing corrects them; a calibration set gives the temperature."""
    runner.write_split_images(train=24, test=100, calibration=calibration_patients, contrast=0)
    change_head(monkeypatch, factor=30.0)
    results = runner.update("north")
    evaluation = evaluation_of(runner, str(results["train"]["version"]))
    error, slope = evaluation.metrics["CalibrationError"], evaluation.metrics.get("CalibrationSlope")
    assert error.low is not None
    assert error.patients == 100
    if calibration_patients:
        assert error.value < Decimal("0.15")
    else:
        assert evaluation.operating_point is None
        assert results["train"]["operating_point"] is None
        assert error.low > Decimal("0.05"), "beyond the default limit of the gate"
        assert slope is not None
        assert slope.high < Decimal("0.8")
    assert results["forgetting"]["summary"]["north/CalibrationError"] == float(error.value)


@pytest.mark.parametrize("images_per_patient", [1, 20])
def test_intervals_and_details_are_about_patients(runner: "UpdateRunner", images_per_patient: int) -> None:
    runner.training = TrainingSettings(epochs=1, batch_size=64, learning_rate=5e-3)
    runner.write_split_images(train=20, test=40, val=20, images_per_patient=images_per_patient)
    version = str(runner.update("north")["train"]["version"])
    evaluation = evaluation_of(runner, version)
    assert (evaluation.patients, evaluation.class_patients) == (40, 20)
    accuracy = evaluation.metrics["Accuracy"]
    assert (accuracy.n, accuracy.patients) == (40 * images_per_patient, 40)
    assert {
        metric.patients for name, metric in evaluation.metrics.items() if not name.startswith(("Recall", "Prec"))
    } == {40}
    assert all(metric.low is not None for metric in evaluation.metrics.values())
    # forty patients cannot say more, whatever their images: 800 independent ones would give a quarter of this
    independent_error = (accuracy.value * (1 - accuracy.value) / 800).sqrt()
    assert accuracy.high - accuracy.low > 2 * Decimal("3.92") * independent_error
    assert evaluation.metrics["Abstained"].value < Decimal("0.3")
    assert "SiteInferred" not in evaluation.metrics, "one task: nothing to confuse"
    assert evaluation.details is not None
    assert evaluation.details.classes == ("left", "right")
    assert evaluation.look == 1
    point = evaluation.operating_point
    assert point is not None
    assert (point.patients, point.cases) == (20, 20 * images_per_patient)
    assert point.distance_limit is not None


def test_stored_predictions_are_used_and_computed_again_where_they_are_damaged(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [str(runner.update(site)["train"]["version"]) for site in ("north", "south", "north")]
    registry, site_store = open_store(runner.registry), open_store(runner.store("north"))
    site = next(site for site in runner.learned_sites if site.name == "north")
    evaluation = evaluation_of(runner, versions[2])
    assert {item.reference for item in evaluation.differences} == set(versions[:2])  # the base and the first version
    assert {item.reference for item in evaluation_of(runner, versions[1]).differences} == {versions[0]}
    assert evaluation_of(runner, versions[0]).differences == ()
    looks = read_looks(registry, site.test_set)
    assert [look.version for look in looks] == versions

    def evaluate_again() -> Evaluation:
        registry.delete(evaluation_key(evaluation))
        (repeated,) = evaluate_frozen(registry, versions[2], [site])
        return repeated

    loaded: list[str] = []
    load_model = evaluated_version.load_model
    monkeypatch.setattr(
        evaluated_version, "load_model", lambda store, digest: loaded.append(digest) or load_model(store, digest)
    )
    assert evaluate_again() == evaluation
    assert loaded == [versions[2]], "the references are not run again"
    keys = [predictions_key(version, site.test_set) for version in versions]
    intact = site_store.get(keys[0])
    site_store.put(keys[0], intact[:-1] + bytes([intact[-1] ^ 1]))  # a changed number
    site_store.put(keys[1], b"no tensors")
    site_store.delete(keys[2])
    assert evaluate_again() == evaluation
    assert site_store.get(keys[0]) == intact
    assert set(loaded) == set(versions)
    assert read_looks(registry, site.test_set) == looks, "the same look"
