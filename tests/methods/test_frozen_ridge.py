"""``frozen_ridge``: three sites one after another are one fit of scikit-learn; the features stay as they were."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from anamnesis.methods import PredictionRequest
from anamnesis.methods.closed_form.heads import HeadKind
from anamnesis.methods.frozen_ridge import FeatureSource, FrozenRidge, FrozenRidgeOptions
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, Task, TaskType
from anamnesis.training import TensorSplit, precision_for, train

PRECISION = precision_for(Configuration("frozen_ridge"), "cpu")
THIRD = Task("third", TaskType.CLASSIFICATION, ("f", "g"))
TASKS = (FIRST, SECOND, THIRD)
SETTINGS = [
    FrozenRidgeOptions(head=HeadKind.RIDGE, strength=0.2),
    FrozenRidgeOptions(head=HeadKind.RIDGE, grid=2, levels=1, projection=40),
    FrozenRidgeOptions(head=HeadKind.DISCRIMINANT, strength=0.3, levels=2, grid=2),
    FrozenRidgeOptions(head=HeadKind.DISCRIMINANT, features=FeatureSource.RANDOM),
    FrozenRidgeOptions(head=HeadKind.NEAREST_MEAN),
]


def make(options: FrozenRidgeOptions) -> FrozenRidge:
    return FrozenRidge(options, SPEC, seed=0)


def learn(method: FrozenRidge, *tasks: Task, shift: float = 0.0) -> TensorSplit:
    context = context_of(tasks)
    split = bar_split(tasks[-1], context.labels, seed=len(tasks))
    split.images.add_(shift)  # type: ignore[union-attr]
    train(method, context, data_of(context, split), PRECISION)
    return split


def learn_all(method: FrozenRidge) -> list[TensorSplit]:
    return [learn(method, *TASKS[: number + 1], shift=0.05 * number) for number in range(3)]


def scikit_learn_logits(method: FrozenRidge, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """What scikit-learn answers after one fit to all images."""
    standardised, strength = StandardScaler().fit_transform(features), method.closed_form.strength
    if method.options.head is HeadKind.RIDGE:
        ridge = Ridge(strength * len(features)).fit(standardised, np.eye(classes.max() + 1)[classes])
        return np.asarray(ridge.predict(standardised))
    if method.options.head is HeadKind.NEAREST_MEAN:
        return np.eye(classes.max() + 1)[NearestCentroid().fit(standardised, classes).predict(standardised)]
    means = np.stack([standardised[classes == column].mean(0) for column in range(classes.max() + 1)])
    size = ((standardised - means[classes]) ** 2).mean()
    shrinkage = strength / (strength + size)  # scikit-learn's covariance is this one, times 1 - shrinkage
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(standardised, classes)
    return np.asarray(discriminant.decision_function(standardised) - np.log(discriminant.priors_)) * (1 - shrinkage)


@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: f"{options.head}-{options.strength:g}")
def test_three_sites_one_after_another_are_one_fit_of_scikit_learn(options: FrozenRidgeOptions) -> None:
    method = make(options)
    sites = learn_all(method)
    images, classes = (torch.cat(parts) for parts in zip(*((s.images.float(), s.classes) for s in sites), strict=True))
    with torch.no_grad():
        features = method.network.embed_levels(method.network.level_maps(images)).double().numpy()
    expected = scikit_learn_logits(method, features, classes.numpy())
    logits = method.predict(images, PredictionRequest()).logits
    assert logits is not None
    assert np.array_equal(logits.argmax(1), expected.argmax(1))
    if options.head is not HeadKind.NEAREST_MEAN:  # it answers with the class alone
        np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_the_first_site_trains_the_backbone_and_no_later_one_does() -> None:
    method = make(FrozenRidgeOptions())
    start = copy.deepcopy(method.network.backbone.state_dict())
    learn(method, FIRST)
    first = copy.deepcopy(method.network.backbone.state_dict())
    assert any(not torch.equal(value, first[name]) for name, value in start.items())
    learn(method, FIRST, SECOND)
    assert all(torch.equal(value, first[name]) for name, value in method.network.backbone.state_dict().items())


def test_random_features_need_no_training_and_answer() -> None:
    method = make(FrozenRidgeOptions(features=FeatureSource.RANDOM))
    context = context_of((FIRST,))
    assert method.begin_task(context, data_of(context, bar_split(FIRST, context.labels))) == []
    learn(method := make(method.options), FIRST)
    first = bar_split(FIRST, context.labels, seed=5)
    logits = method.predict(first.images.float(), PredictionRequest()).logits
    assert logits is not None
    assert (logits.argmax(1) == first.classes).float().mean() > 0.9


def test_a_frozen_pretrained_backbone_is_not_trained() -> None:
    pretrained = Classifier(SPEC, seed=9).backbone.state_dict()
    method = FrozenRidge(FrozenRidgeOptions(), replace(SPEC, frozen="all"), seed=0)
    method.load_pretrained(pretrained)
    context = context_of((FIRST,))
    assert method.begin_task(context, data_of(context, bar_split(FIRST, context.labels))) == []
    learn(method, FIRST)
    assert all(torch.equal(value, pretrained[name]) for name, value in method.network.backbone.state_dict().items())
    assert method.network.head.weight.any()


def test_a_state_has_the_choice_of_the_strength_and_gives_the_same_answers() -> None:
    method, loaded = make(FrozenRidgeOptions()), make(FrozenRidgeOptions())
    learn_all(method)
    state = method.state_dict()
    assert state["ridge_choice/strength"] == method.closed_form.strength
    loaded.load_state_dict(copy.deepcopy(state), 7)
    assert loaded.closed_form.strength == method.closed_form.strength
    assert torch.equal(loaded.closed_form.weights, method.closed_form.weights)
    assert torch.equal(loaded.network.head.weight, method.network.head.weight)


def test_bad_options_and_another_method_s_version_are_refused() -> None:
    for options, message in (
        ({"levels": -1}, r"frozen_ridge\.levels: expected 0 or more"),
        ({"strength": -1.0}, r"frozen_ridge\.strength: expected 0 or more"),
    ):
        with pytest.raises(InputError, match=message):
            FrozenRidgeOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"frozen_ridge\.grid: .* levels with 64, .* give an image"):
        make(FrozenRidgeOptions(grid=64, projection=20_000))
    with pytest.raises(InputError, match="frozen_ridge cannot continue from the base version"):
        make(FrozenRidgeOptions()).load_state_dict({"network/head.bias": torch.zeros(2)}, 2)
    with pytest.raises(InputError, match=r"frozen_ridge\.features: random features have no use for network\.weights"):
        make(FrozenRidgeOptions(features=FeatureSource.RANDOM)).load_pretrained({})
    with pytest.raises(InputError, match=r"frozen_ridge\.projection: an imported head reads the features themselves"):
        make(FrozenRidgeOptions(projection=8)).import_head(torch.zeros(2, 32), torch.zeros(2), "north")
