"""Analytic learning: three tasks one after another are one joint ridge regression; the backbone stays as it was."""

import copy
from dataclasses import replace

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import PredictionRequest
from anamnesis.methods.acil import ACIL, ACILOptions, HeadSolver
from anamnesis.methods.analytic import AnalyticOptions, BackboneSource
from anamnesis.methods.ncm import NCM
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, Task, TaskType
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("acil"), "cpu")
THIRD = Task("third", TaskType.CLASSIFICATION, ("f", "g"))
TASKS = (FIRST, SECOND, THIRD)


def learn(method, *tasks, shift=0.0):
    context = context_of(tasks)
    split = bar_split(tasks[-1], context.labels, seed=len(tasks))
    split.images.add_(shift)
    train(method, context, data_of(context, split), PRECISION)
    return split


def learn_all(method):
    return [learn(method, *TASKS[: number + 1], shift=0.05 * number) for number in range(3)]


@pytest.mark.parametrize("features", [BackboneSource.RANDOM, BackboneSource.FIRST_TASK])
def test_three_tasks_one_after_another_equal_joint_ridge_regression(features: BackboneSource) -> None:
    method = ACIL(ACILOptions(features=features, grid=2, strength=3.0), SPEC, seed=0)
    sites = learn_all(method)
    images, targets = (torch.cat(parts) for parts in zip(*((s.images.float(), s.classes) for s in sites), strict=True))
    with torch.no_grad():
        wide = method.network.embed(method.network.features(images)).double()
    labels = torch.nn.functional.one_hot(targets, 7).double()
    # All at once and by another way: the dual form on centred data.
    centred, level = wide - wide.mean(0), labels.mean(0)
    dual = torch.linalg.solve(centred @ centred.T + 3.0 * torch.eye(len(wide)), labels - level)
    weights = dual.T @ centred
    expected = torch.cat([weights, (level - weights @ wide.mean(0))[:, None]], dim=1)
    torch.testing.assert_close(method.solve_head(method._statistics.total), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(method.network.head.weight, expected[:, :-1].float())


def test_the_first_site_trains_the_backbone_and_no_later_one_does() -> None:
    method = ACIL(ACILOptions(), SPEC, seed=0)
    start = copy.deepcopy(method.network.backbone.state_dict())
    learn(method, FIRST)
    first = copy.deepcopy(method.network.backbone.state_dict())
    assert any(not torch.equal(value, first[name]) for name, value in start.items())
    learn(method, FIRST, SECOND)
    assert all(torch.equal(value, first[name]) for name, value in method.network.backbone.state_dict().items())


def test_random_features_need_no_training_and_answer() -> None:
    method = ACIL(ACILOptions(features=BackboneSource.RANDOM, rule=HeadSolver.DISCRIMINANT), SPEC, seed=0)
    context = context_of((FIRST,))
    assert method.begin_task(context, data_of(context, bar_split(FIRST, context.labels))) == []
    learn(method := ACIL(method.options, SPEC, seed=0), FIRST)
    first = bar_split(FIRST, context.labels, seed=5)
    answers = method.predict(first.images.float(), PredictionRequest()).logits.argmax(1)
    assert (answers == first.classes).float().mean() > 0.9


def test_a_frozen_pretrained_backbone_is_not_trained() -> None:
    pretrained = Classifier(SPEC, seed=9).backbone.state_dict()
    method = ACIL(ACILOptions(), replace(SPEC, frozen="all"), seed=0)
    method.load_pretrained(pretrained)
    context = context_of((FIRST,))
    assert method.begin_task(context, data_of(context, bar_split(FIRST, context.labels))) == []
    learn(method, FIRST)
    assert all(torch.equal(value, pretrained[name]) for name, value in method.network.backbone.state_dict().items())
    assert method.network.head.weight.any()
    learnable = ACIL(ACILOptions(), SPEC, seed=0)
    assert learnable.begin_task(context, data_of(context, bar_split(FIRST, context.labels)))


def test_random_features_refuse_pretrained_weights() -> None:
    method = ACIL(ACILOptions(features=BackboneSource.RANDOM), SPEC, seed=0)
    with pytest.raises(InputError, match=r"acil\.features: random features have no use for network\.weights"):
        method.load_pretrained(Classifier(SPEC, seed=9).backbone.state_dict())


def test_bad_options_and_another_method_s_version_are_refused() -> None:
    with pytest.raises(InputError, match=r"acil\.strength: expected a number above 0"):
        ACILOptions(strength=0.0)
    with pytest.raises(InputError, match="acil cannot continue from the base version"):
        ACIL(ACILOptions(), SPEC, 0).load_state_dict({"network/head.bias": torch.zeros(2)}, 2)


def test_nearest_class_mean_is_the_nearest_mean() -> None:
    method = NCM(AnalyticOptions(features=BackboneSource.RANDOM), SPEC, seed=0)
    sites = learn_all(method)
    images, targets = (torch.cat(parts) for parts in zip(*((s.images.float(), s.classes) for s in sites), strict=True))
    wide = method.network.embed(method.network.features(images))
    means = torch.stack([wide[targets == column].mean(0) for column in range(7)])
    answers = method.predict(images, PredictionRequest()).logits.argmax(1)
    assert torch.equal(answers, torch.cdist(wide, means).argmin(1))
