"""Answers: a known site implies its task, sites share a task's prior, thresholds decide, and far images get none."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
import torch
from torch import Tensor

from anamnesis.methods import build_method
from anamnesis.records import Configuration, HeldOutSet, InputError, NetworkSettings, OperatingPoint, Task, TaskType
from anamnesis.updates.answers import CaseOutputs, answer, compute_outputs, join_images, split_inputs
from anamnesis.updates.model import Experience, LoadedModel, VersionDescription
from anamnesis.updates.site_features import SiteFeatures, SiteStatistics

LUNG = Task("lung", TaskType.CLASSIFICATION, ("normal", "pneumonia"))
BRAIN = Task("brain", TaskType.CLASSIFICATION, ("glioma", "meningioma", "pituitary"))
NO_POINTS: Mapping[str, OperatingPoint] = {}


def make_model(sites: Mapping[str, Task], statistics: bool = True) -> LoadedModel:
    configuration = Configuration("finetune", {}, NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"}))
    description = VersionDescription(configuration, tuple(Experience(site, task) for site, task in sites.items()))
    method = build_method(configuration)
    method.resize_head(len(description.labels))
    values = {site: SiteStatistics(20, 20, torch.zeros(126), torch.eye(126)) for site in sites} if statistics else {}
    return LoadedModel(method, description, SiteFeatures(1, values))


def make_point(site: str, **changes: Decimal) -> OperatingPoint:
    point = OperatingPoint(site, "", HeldOutSet.CALIBRATION, patients=30, cases=30, temperature=Decimal(1))
    return replace(point, **changes)


def make_outputs(logits: list[float], site_probs: list[float], distances: list[float] | None = None) -> CaseOutputs:
    far = distances or [1.0] * len(site_probs)
    return CaseOutputs(torch.tensor([logits]), torch.tensor([site_probs]).log(), torch.tensor([far]))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    """Statistics are in the order of names: brain, chest."""
    return make_model({"chest": LUNG, "brain": BRAIN})


def test_large_samples_are_predicted_fewer_at_a_time(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(5, 1, 16, 16)  # 1,024 bytes each

    def batches(inputs: Mapping[str, Tensor]) -> list[int]:
        return [len(batch["CT"]) for batch in split_inputs(inputs, torch.device("cpu"))]

    assert batches({"CT": images}) == [5]
    expected = compute_outputs(model, {"CT": images})
    monkeypatch.setattr("anamnesis.training.split_arrays.rows.BATCH_BYTES", 2 * 1024)
    assert batches({"CT": images}) == [2, 2, 1]
    assert batches({"CT": images, "PT": images}) == [1] * 5
    assert torch.allclose(compute_outputs(model, {"CT": images}).logits, expected.logits, atol=1e-6)
    monkeypatch.setattr("anamnesis.training.split_arrays.rows.BATCH_BYTES", 1)
    assert batches({"CT": images}) == [1] * 5, "a sample that is larger than the limit is predicted alone"


def test_with_a_known_site_its_task_alone_competes(model: LoadedModel) -> None:
    outputs = make_outputs([0.0, 1.0, 9.0, 8.0, 7.0], [1.0, 0.0])
    answers = answer(model, outputs, NO_POINTS, ["chest"])
    expected = torch.tensor([0.0, 1.0]).double().softmax(0)
    assert torch.allclose(answers.probabilities[0], torch.cat([expected, torch.zeros(3)]))
    assert answers.columns.tolist() == [1]
    assert answer(model, outputs, NO_POINTS).columns.tolist() == [2], "without a site, it is like the brain's images"
    with pytest.raises(InputError, match=r"site 'foot': .* choose one of chest, brain"):
        answer(model, outputs, NO_POINTS, ["foot"])


def test_without_a_site_the_tasks_are_mixed_by_the_sites_statistics(model: LoadedModel) -> None:
    points = {"brain": make_point("brain", temperature=Decimal(2))}
    logits = [0.0, 1.0, 9.0, 8.0, 7.0]
    probabilities = answer(model, make_outputs(logits, [0.25, 0.75]), points).probabilities[0]
    own: list[Tensor] = [torch.tensor(logits[:2]).softmax(0), (torch.tensor(logits[2:]) / 2).softmax(0)]
    assert torch.allclose(probabilities.float(), torch.cat([0.75 * own[0], 0.25 * own[1]]), atol=1e-6)


def test_a_task_of_two_sites_counts_once() -> None:
    model = make_model({"a": LUNG, "b": LUNG, "c": BRAIN})
    probabilities = answer(model, make_outputs([0.0] * 5, [1 / 3, 1 / 3, 1 / 3]), NO_POINTS).probabilities[0]
    assert torch.allclose(probabilities[:2].sum(), torch.tensor(0.5).double())
    assert not answer(
        make_model({"a": LUNG, "b": LUNG}, False), make_outputs([0.0, 1.0], []), NO_POINTS
    ).can_abstain.any()


def test_the_threshold_of_the_site_decides(model: LoadedModel) -> None:
    outputs = make_outputs([1.0, 0.0, -5.0, -5.0, -5.0], [0.1, 0.9])
    points = {"chest": make_point("chest", threshold=Decimal("0.2"))}
    for sites in ([], ["chest"]):
        assert answer(model, outputs, points, sites).columns.tolist() == [1], "0.27 is above the threshold"
        assert answer(model, outputs, NO_POINTS, sites).columns.tolist() == [0]


def test_an_image_far_from_its_site_is_abstained(model: LoadedModel) -> None:
    outputs = make_outputs([0.0] * 5, [0.1, 0.9], [1.0, 1.3])
    points = {site: make_point(site, distance_limit=Decimal("1.2")) for site in ("chest", "brain")}
    assert answer(model, outputs, points).is_abstained.tolist() == [True]
    assert answer(model, outputs, points, ["chest"]).is_abstained.tolist() == [True]
    assert answer(model, outputs, points, ["brain"]).is_abstained.tolist() == [False]
    beside_one_without = answer(model, outputs, {"chest": points["chest"]})
    assert (beside_one_without.is_abstained.tolist(), beside_one_without.can_abstain.tolist()) == ([True], [True])
    own = {site: replace(value, distance_limit=1.2) for site, value in model.site_features.statistics.items()}
    with_own_limit = replace(model, site_features=SiteFeatures(1, own))
    assert answer(with_own_limit, outputs, NO_POINTS, ["chest"]).is_abstained.tolist() == [True]
    lenient = {"chest": make_point("chest", distance_limit=Decimal(2))}
    assert answer(with_own_limit, outputs, lenient, ["chest"]).is_abstained.tolist() == [False], (
        "held-out patients count"
    )
    without_limit = answer(model, outputs, {"brain": points["brain"]}, ["chest"])
    assert (without_limit.is_abstained.tolist(), without_limit.can_abstain.tolist()) == ([False], [False])


def test_a_version_without_statistics_lets_all_classes_compete() -> None:
    model = make_model({"chest": LUNG, "brain": BRAIN}, statistics=False)
    outputs = make_outputs([0.0, 1.0, 2.0, 1.0, 0.0], [])
    answers = answer(model, outputs, NO_POINTS)
    assert torch.allclose(answers.probabilities[0], torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0]).double().softmax(0))
    assert (answers.columns.tolist(), answers.site_indices.tolist(), answers.can_abstain.tolist()) == (
        [2],
        [-1],
        [False],
    )


def test_a_study_has_the_mean_of_its_images_and_is_abstained_where_most_are(model: LoadedModel) -> None:
    rows = [make_outputs([0.0, float(n), 0.0, 0.0, 0.0], [0.1, 0.9], [1.0, d]) for n, d in ((0, 9), (4, 9), (1, 1))]
    outputs = CaseOutputs(
        *(torch.cat([getattr(row, name) for row in rows]) for name in ("logits", "site_log_probs", "distances"))
    )
    points = {site: make_point(site, distance_limit=Decimal("1.2")) for site in ("chest", "brain")}
    images = answer(model, outputs, points, ["chest"])
    studies = join_images(model, images, points, torch.tensor([0, 0, 1]))
    assert torch.allclose(studies.probabilities[0], images.probabilities[:2].mean(0))
    assert studies.is_abstained.tolist() == [True, False]
    half = join_images(model, images, points, torch.tensor([0, 1, 1]))
    assert half.is_abstained.tolist() == [True, False], "one of two images is not most of them"


def test_outputs_are_equal_for_any_number_of_images(model: LoadedModel) -> None:
    images = torch.rand(70, 1, 16, 16, generator=torch.Generator().manual_seed(0)).half()
    outputs = compute_outputs(model, {"OT": images})
    assert (outputs.logits.shape, outputs.distances.shape) == ((70, 5), (70, 2))
    assert torch.allclose(compute_outputs(model, {"OT": images[:3]}).distances, outputs.distances[:3])
