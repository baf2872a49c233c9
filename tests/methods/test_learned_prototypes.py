"""Class prototypes in the features that the network learns."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of, prototype_options
from torch.nn import functional

from anamnesis.methods import PredictionRequest
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.features.visual_prototypes import PrototypeSharing
from anamnesis.methods.heads.learned_prototypes import LearnedPrototypes, mean_variance
from anamnesis.methods.heads.task_router import ClassifierMode
from anamnesis.records import Configuration, InputError, Task, TrainingSettings
from anamnesis.storage import open_store
from anamnesis.training import CheckpointPace, Checkpoints, TensorSplit, precision_for, train

OPTIONS: dict[str, Any] = {
    "visual_prototypes.sharing": PrototypeSharing.SHARED,
    "visual_prototypes.minimum_images": 3,
    "classifier.mode": ClassifierMode.LEARNED,
}
SETTINGS = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-2)


def learn(
    method: EWCPrototype, *tasks: Task, split: TensorSplit | None = None, checkpoints: Checkpoints | None = None
) -> None:
    context = context_of(tasks, SETTINGS)
    split = split or bar_split(tasks[-1], context.labels)
    train(method, context, data_of(context, split), precision_for(Configuration("ewc_prototype"), "cpu"), checkpoints)


def trained(*tasks: Task, **options: Any) -> EWCPrototype:
    method = EWCPrototype(prototype_options({**OPTIONS, **options}), SPEC, seed=0)
    for number in range(len(tasks)):
        learn(method, *tasks[: number + 1])
    return method


def prototypes_of(method: EWCPrototype) -> LearnedPrototypes:
    assert method.learned_prototypes is not None
    return method.learned_prototypes


def test_a_prototype_is_the_mean_of_the_unit_features_of_its_class() -> None:
    method = trained(FIRST)
    split = bar_split(FIRST, context_of((FIRST,), SETTINGS).labels)
    with torch.no_grad():
        features = functional.normalize(method.network.embed(method.network.features(split.images[:])), dim=1)
    stored = prototypes_of(method).by_site["site-1"]
    for column, mean in zip(stored.columns.tolist(), stored.means, strict=True):
        torch.testing.assert_close(mean, features[split.classes == column].mean(0))


def test_the_variance_is_the_mean_eigenvalue_weighted_by_itself() -> None:
    features, targets = torch.randn(200, 5, dtype=torch.float64) * torch.arange(1, 6), torch.arange(200) % 2
    statistics = FeatureStatistics(5, 2)
    statistics.add(features, targets)
    centred = torch.cat([features[targets == column] - features[targets == column].mean(0) for column in (0, 1)])
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred / 200)
    torch.testing.assert_close(mean_variance(statistics), eigenvalues.square().sum() / eigenvalues.sum())


def test_a_class_moves_as_its_visual_prototype_does_and_a_second_end_moves_it_no_further() -> None:
    """Without stored visual prototypes the class stays where it was, although the network has moved."""
    method = trained(FIRST)
    before, base = prototypes_of(method).by_site["site-1"], copy.deepcopy(method)
    learn(method, FIRST, SECOND)
    assert method.visual_prototypes is not None
    images = method.visual_prototypes.by_site["site-1"].images
    with torch.no_grad():
        first, second = (
            functional.normalize(item.network.embed(item.network.eval().features(images)), dim=1)
            for item in (base, method)
        )
    after = prototypes_of(method).by_site["site-1"]
    assert not torch.equal(first, second)
    torch.testing.assert_close(after.means, before.means + second - first)
    assert torch.equal(after.counts, before.counts)
    context = context_of((FIRST, SECOND), SETTINGS)
    prototypes_of(method).end_task(method.network, context, data_of(context, bar_split(SECOND, context.labels)))
    assert torch.equal(prototypes_of(method).by_site["site-1"].means, after.means)

    unmoved = trained(FIRST, **{"retention.weight": 0.0})
    means = prototypes_of(unmoved).by_site["site-1"].means
    learn(unmoved, FIRST, SECOND)
    assert torch.equal(prototypes_of(unmoved).by_site["site-1"].means, means)


def test_the_answer_is_the_task_by_prototypes_and_the_class_by_both() -> None:
    method = trained(FIRST, SECOND, **{"classifier.prototype_weight": 0.0})
    images = torch.rand(6, 1, 16, 16)
    prediction = method.predict(images, PredictionRequest(with_embedding=True))
    assert prediction.logits is not None
    assert prediction.embedding is not None
    with torch.no_grad():
        by_prototypes = prototypes_of(method).log_probs(prediction.embedding, 5).exp()
        by_head = method.network(images)
    features = functional.normalize(prediction.embedding, dim=1)
    stored = prototypes_of(method).by_site
    means = torch.cat([stored[site].means for site in ("site-1", "site-2")])
    assert torch.equal(by_prototypes.argmax(1), torch.cdist(features, means).argmin(1))
    for columns in ([0, 1], [2, 3, 4]):
        expected = by_prototypes[:, columns].sum(1, keepdim=True) * by_head[:, columns].softmax(1)
        torch.testing.assert_close(prediction.logits[:, columns].exp(), expected)


def test_a_site_is_forgotten_and_a_base_version_without_prototypes_is_refused() -> None:
    method = trained(FIRST, SECOND)
    second = prototypes_of(method).by_site["site-2"]
    method.forget_site("site-1", (2, 3, 4))
    assert set(prototypes_of(method).by_site) == {"site-2"}
    assert prototypes_of(method).by_site["site-2"].columns.tolist() == [0, 1, 2]
    assert torch.equal(prototypes_of(method).by_site["site-2"].means, second.means)
    other = trained(FIRST, **{"classifier.mode": ClassifierMode.LINEAR})
    with pytest.raises(InputError, match=r"ewc_prototype\.classifier\.mode: learned needs class prototypes"):
        EWCPrototype(prototype_options(OPTIONS), SPEC, seed=0).load_state_dict(other.state_dict(), 2)


def killed_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function, which ends the process after some calls."""
    numbers = itertools.count()

    def run(*values: Any) -> Any:
        if next(numbers) >= calls:
            raise KeyboardInterrupt
        return function(*values)

    return run


def test_killed_inside_the_second_task_or_at_its_end_it_ends_with_equal_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new classes have no prototypes then, but the base version lacks none."""
    expected = trained(FIRST, SECOND).state_dict()
    for owner, name, calls in ((EWCPrototype, "loss", 2), (LearnedPrototypes, "_move", 0)):
        base = trained(FIRST)
        broken, resumed = copy.deepcopy(base), copy.deepcopy(base)
        checkpoints = Checkpoints(open_store(tmp_path.as_uri()), f"checkpoints/{name}", pace=CheckpointPace(0, 0))
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killed_after(calls, getattr(owner, name)))
            with pytest.raises(KeyboardInterrupt):
                learn(broken, FIRST, SECOND, checkpoints=checkpoints)
        assert checkpoints.load() is not None
        learn(resumed, FIRST, SECOND, checkpoints=checkpoints)
        state = resumed.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in state.items() if isinstance(value, torch.Tensor))


def test_a_class_without_images_never_answers_and_the_version_loads_and_learns_on() -> None:
    labels = context_of((FIRST,), SETTINGS).labels
    split = bar_split(FIRST, labels)
    rows = [row for row, column in enumerate(split.classes.tolist()) if column == 0]
    method = trained()
    learn(method, FIRST, split=TensorSplit.of_images(split.images[rows], split.classes[rows], tuple(map(str, rows))))
    loaded = EWCPrototype(prototype_options(OPTIONS), SPEC, seed=0)
    loaded.load_state_dict(method.state_dict(), 2)
    learn(loaded, FIRST, SECOND)
    logits = loaded.predict(torch.rand(3, 1, 16, 16), PredictionRequest()).logits
    assert logits is not None
    assert (logits[:, 1] == -torch.inf).all()
    assert logits[:, [0, 2, 3, 4]].isfinite().all()


def test_the_answers_are_alike_in_half_precision_and_on_another_device_than_the_version() -> None:
    method = trained(FIRST, SECOND)
    prototypes, embedding = prototypes_of(method), torch.rand(4, method.network.head.weight.shape[1])
    expected = prototypes.log_probs(embedding, 5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(prototypes.log_probs(embedding, 5), expected)
    assert prototypes.route_logits(embedding.to("meta"), torch.zeros(4, 5, device="meta")).shape == (4, 5)
    assert all(part.means.device.type == "meta" for part in prototypes.by_site.values())


def test_one_image_equal_positions_and_zero_features_give_finite_answers() -> None:
    prototypes = prototypes_of(trained(FIRST))
    stored, width = prototypes.by_site["site-1"], prototypes.by_site["site-1"].means.shape[1]
    statistics = FeatureStatistics(width, 2)
    statistics.add(torch.ones(1, width), torch.tensor([0]))
    equal = replace(stored, means=stored.means[:1].expand(2, -1), variance=mean_variance(statistics).float())
    for part in (equal, replace(equal, means=torch.zeros(2, width))):
        prototypes.by_site["site-1"] = part
        for features in (torch.zeros(3, width), torch.rand(3, width)):
            torch.testing.assert_close(prototypes.log_probs(features, 2), torch.full((3, 2), 0.5).log())
