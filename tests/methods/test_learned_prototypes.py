"""Class prototypes in the features that the network learns."""

import copy
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
from anamnesis.training import precision_for, train

OPTIONS: dict[str, Any] = {
    "visual_prototypes.sharing": PrototypeSharing.SHARED,
    "visual_prototypes.minimum_images": 3,
    "classifier.mode": ClassifierMode.LEARNED,
}
SETTINGS = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-2)


def learn(method: EWCPrototype, *tasks: Task) -> None:
    context = context_of(tasks, SETTINGS)
    train(
        method,
        context,
        data_of(context, bar_split(tasks[-1], context.labels)),
        precision_for(Configuration("ewc_prototype"), "cpu"),
    )


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
