"""Elastic weight consolidation by its formula, its limits, and its equality with that part of ``ewc_prototype``."""

import copy
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of, prototype_options
from torch import Tensor
from torch.nn import functional

from anamnesis.methods import Method, TrainingStep
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.ewc import EWC, EWCOptions
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.fisher.diagonal import FisherKind
from anamnesis.methods.stage import TrainingPass
from anamnesis.records import Configuration, InputError, NetworkSettings, Split, Task, TrainingSettings
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("ewc"), "cpu")
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
ONLY_CONSOLIDATION = {
    "reconstruction.weight": 0.0,
    "latent_prototypes.prototype_near_sample": 0.0,
    "latent_prototypes.sample_near_prototype": 0.0,
    "saliency.weight": 0.0,
    "retention.weight": 0.0,
    "fisher.saliency_weight": 0.0,
    "classifier.mode": "linear",
}


def learn(method: Method[Any], *tasks: Task) -> tuple[dict[str, float], ...]:
    context = context_of(tasks, SETTINGS)
    log = train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), PRECISION)
    return tuple(dict(epoch) for epoch in log.epoch_losses)


def tensors_of(method: Method[Any]) -> dict[str, Tensor]:
    return {name: value for name, value in method.state_dict().items() if isinstance(value, Tensor)}


def assert_equal_networks(first: Method[Any], second: Method[Any]) -> None:
    state = second.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.network.state_dict().items())


def naive_fisher(method: EWC) -> dict[str, Tensor]:
    """A backward pass for each image and class of the first task."""
    context = context_of((FIRST,), SETTINGS)
    totals = {name: torch.zeros_like(value) for name, value in method.network.named_parameters()}
    split = bar_split(FIRST, context.labels)
    for image in split.images.float():
        log_probs = method.network(image[None])[0].log_softmax(0)
        for log_prob in log_probs:
            method.network.zero_grad()
            log_prob.backward(retain_graph=True)
            for name, value in method.network.named_parameters():
                assert value.grad is not None
                totals[name] += log_prob.detach().exp() * value.grad.square() / len(split.images)
    return totals


def test_the_loss_is_the_formula_by_a_naive_loop() -> None:
    method = EWC(EWCOptions(penalty=7.0, fisher=FisherKind.EXACT), SPEC, seed=0)
    learn(method, FIRST)
    fisher = naive_fisher(method)
    anchor = {name: value.detach().clone() for name, value in method.network.named_parameters()}
    for name, value in fisher.items():
        torch.testing.assert_close(tensors_of(method)[f"ewc_fisher.site-1/{name}"], value, rtol=1e-3, atol=1e-6)
    context = context_of((FIRST, SECOND), SETTINGS)
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    with torch.no_grad():
        for value in method.network.parameters():
            value.add_(0.01)
    batch = next(iter(data(Split.TRAIN, TrainingPass("train"))))
    terms = method.loss(batch, TrainingStep("train", 0, step_index=0, total_steps=12, learning_rate=1e-3))
    parameters = dict(method.network.named_parameters())
    penalty = sum(
        float((value * (parameters[name].detach()[: len(value)] - anchor[name]).square()).sum())
        for name, value in fisher.items()
    )
    assert terms["ewc"].item() == pytest.approx(7.0 / 2 * penalty, rel=1e-3)
    logits = method.network(batch.images)[:, 2:]  # the classes of the second task
    assert terms["classification"].item() == pytest.approx(functional.cross_entropy(logits, batch.classes - 2).item())


def test_the_first_task_is_fine_tuning() -> None:
    method, finetune = EWC(EWCOptions(), SPEC, 0), Finetune(FinetuneOptions(SoftmaxScope.TASK), SPEC, 0)
    assert learn(method, FIRST) == learn(finetune, FIRST)
    assert_equal_networks(method, finetune)


def test_without_penalty_it_is_fine_tuning_bit_for_bit_and_with_one_it_is_not() -> None:
    free, constrained = EWC(EWCOptions(penalty=0.0), SPEC, 0), EWC(EWCOptions(penalty=1e4), SPEC, 0)
    finetune = Finetune(FinetuneOptions(SoftmaxScope.TASK), SPEC, 0)
    for tasks in ((FIRST,), (FIRST, SECOND)):
        losses = [learn(method, *tasks) for method in (free, finetune, constrained)]
        assert losses[0] == losses[1]
    assert_equal_networks(free, finetune)
    assert losses[2] != losses[1]


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize(
    ("options", "prototype_options_by_path"),
    [
        ({"penalty": 1e4}, {"consolidation.penalty": 1e4}),
        (
            {"penalty": 100.0, "decay": 0.5, "fisher": "exact", "images": 7, "competing": "seen"},
            {
                "consolidation.penalty": 100.0,
                "consolidation.decay": 0.5,
                "fisher.kind": "exact",
                "fisher.images": 7,
                "classification.competing": "seen",
            },
        ),
    ],
)
def test_it_is_ewc_prototype_with_this_penalty_alone_bit_for_bit(
    options: dict[str, Any], prototype_options_by_path: dict[str, object], norm: str
) -> None:
    """The scoreboard's stored EWC rows were measured with that configuration."""
    spec = NetworkSettings(size=SPEC.size, options={**SPEC.options, "norm": norm})
    options = options | {
        name: kind(options[name])
        for name, kind in (("fisher", FisherKind), ("competing", SoftmaxScope))
        if name in options
    }
    method = EWC(EWCOptions(**options), spec, 0)
    prototype = EWCPrototype(prototype_options({**ONLY_CONSOLIDATION, **prototype_options_by_path}), spec, 0)
    for tasks in ((FIRST,), (FIRST, SECOND), (FIRST, SECOND, FIRST)):
        learn(method, *tasks)
        learn(prototype, *tasks)
        prototype_tensors = tensors_of(prototype)
        assert all(torch.equal(value, prototype_tensors[name]) for name, value in tensors_of(method).items())
        extra_names = prototype_tensors.keys() - tensors_of(method).keys()
        assert all("decoder" in name or name == "groups/of_class" for name in extra_names)


def test_a_saved_version_learns_the_next_task_with_equal_bits() -> None:
    method, loaded = EWC(EWCOptions(), SPEC, 0), EWC(EWCOptions(), SPEC, 0)
    learn(method, FIRST)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 2)
    for version in (method, loaded):
        learn(version, FIRST, SECOND)
    assert_equal_networks(method, loaded)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": -1.0}, r"ewc\.penalty: expected 0 or more, at most 1e\+09, found -1\.0"),
        ({"penalty": 1e12}, r"at most 1e\+09, found 1000000000000\.0"),
        ({"images": -1}, r"ewc\.images: expected 0 or more"),
        ({"decay": 1.5}, r"ewc\.decay: expected a number from 0 to 1, found 1\.5"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EWCOptions(**options)
