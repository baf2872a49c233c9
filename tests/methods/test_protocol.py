"""The contract that every method keeps, held against the registered ones and against the extremes of the protocol."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import (
    EXTREMES,
    FIRST,
    SECOND,
    SPEC,
    NoOptions,
    Segmenter,
    bar_split,
    context_of,
    data_of,
    square_split,
)

from anamnesis.evaluation.saliency import explain_classes
from anamnesis.methods import Method, PredictionRequest, method_class, registered_methods
from anamnesis.records import AnamnesisError, Configuration, InputError, Task, TaskType
from anamnesis.storage.store import open_store
from anamnesis.training import Checkpoints, precision_for, train

KINDS: dict[str, type[Method[Any]]] = {**registered_methods(), **{kind.name: kind for kind in EXTREMES}}
PRECISION = precision_for(Configuration("finetune"), "cpu")


class StageKilledError(Exception):
    """Stands for SIGKILL inside one process."""


def make(name: str) -> Method[Any]:
    kind = KINDS[name]
    options = kind.options_class() if name in registered_methods() else NoOptions()
    return kind(options, SPEC, seed=3)


def learn(method: Method[Any], tasks: tuple[Task, ...], **options: Any) -> None:
    context = context_of(tasks)
    split = square_split() if isinstance(method, Segmenter) else bar_split(tasks[-1], context.labels)
    train(method, context, data_of(context, split), PRECISION, **options)


def tasks_for(method: Method[Any]) -> tuple[Task, ...]:
    if TaskType.SEGMENTATION in method.capabilities.task_types:
        return (Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice"),)
    return (FIRST, SECOND)


def assert_equal_states(first_method: Method[Any], second_method: Method[Any]) -> None:
    first, second = first_method.state_dict(), second_method.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        other_value = second[name]
        assert torch.equal(value, other_value) if isinstance(value, torch.Tensor) else value == other_value, name


@pytest.mark.parametrize("name", KINDS)
def test_a_loaded_state_answers_and_learns_on_as_the_original(name: str) -> None:
    method = make(name)
    tasks = tasks_for(method)
    learn(method, tasks[:1])
    loaded = make(name)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), len(context_of(tasks[:1]).labels))
    assert_equal_states(method, loaded)
    loaded.network.to(memory_format=PRECISION.memory_format)  # another layout rounds differently
    images = torch.rand(4, 1, 16, 16)
    answer, loaded_answer = (m.predict(images, PredictionRequest()) for m in (method, loaded))
    for expected, actual in ((answer.logits, loaded_answer.logits), (answer.mask_logits, loaded_answer.mask_logits)):
        assert (expected is None and actual is None) or torch.equal(expected, actual)
    if len(tasks) > 1:
        learn(method, tasks)
        learn(loaded, tasks)
        assert_equal_states(method, loaded)
        assert_its_maps_are_those_of_its_answer(method)


def assert_its_maps_are_those_of_its_answer(method: Method[Any]) -> None:
    images = torch.rand(4, 1, 16, 16)
    answer = method.predict(images, PredictionRequest()).logits
    with torch.no_grad():
        branches = method.explained_features(images)
    assert len({branch.name for branch in branches}) == len(branches) > 0
    assert torch.equal(answer, method.answer_from([branch.features for branch in branches]))
    maps = explain_classes(method, images, answer[:, 2:].argmax(1) + 2, (2, 3, 4))
    assert maps.whole.isfinite().all()
    assert maps.whole.any()
    assert (maps.learned is None) == (not any(branch.learns for branch in branches))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kill_at", [1, 4])
def test_killed_inside_a_stage_and_started_again_it_ends_with_equal_bits(
    name: str, kill_at: int, tmp_path: Path
) -> None:
    whole, broken = make(name), make(name)
    tasks = tasks_for(whole)[:1]
    learn(whole, tasks)
    store = open_store(tmp_path.as_uri())
    steps = 0

    def kill(completed: int, total: int, unit: str) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            raise StageKilledError

    checkpoints = Checkpoints(store, "checkpoints/x", interval_seconds=0)
    if name != "closed_form":
        with pytest.raises(StageKilledError):
            learn(broken, tasks, checkpoints=checkpoints, progress=kill)
        assert checkpoints.load() is not None
    resumed = make(name)
    learn(resumed, tasks, checkpoints=checkpoints)
    assert_equal_states(whole, resumed)


@pytest.mark.parametrize("name", ["closed_form", "two_views", "finetune", "ewc_prototype"])
def test_it_learns(name: str) -> None:
    method = make(name)
    context = context_of((FIRST,))
    split = bar_split(FIRST, context.labels, count=64)
    settings = context.settings.__class__(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)
    context = context_of((FIRST,), settings)
    train(method, context, data_of(context, split), PRECISION)
    logits = method.predict(split.images.float(), PredictionRequest(context.class_indices)).logits
    assert logits is not None
    assert (logits.argmax(1) == split.targets).float().mean() > 0.9


def test_a_segmenter_learns_masks() -> None:
    method = make("segmenter")
    learn(method, tasks_for(method))
    split = square_split()
    mask = method.predict(split.images.float(), PredictionRequest()).mask_logits
    assert mask is not None
    assert mask.shape == (12, 2, 16, 16)


def test_what_a_stage_does_not_name_stays_bit_for_bit() -> None:
    method = make("adapters_only")
    before = copy.deepcopy(method.network.backbone.state_dict())
    learn(method, (FIRST,))
    after = method.network.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())  # BatchNorm's statistics too
    assert method.network.adapter.weight.abs().sum() > 0


def test_growing_keeps_old_rows() -> None:
    method = make("finetune")
    learn(method, (FIRST,))
    old = method.network.head.weight.detach().clone()
    method.begin_task(context_of((FIRST, SECOND)), None)  # type: ignore[arg-type]
    assert method.network.head.weight.shape[0] == 5
    assert torch.equal(method.network.head.weight[:2], old)


def test_task_incremental_answers_stay_inside_the_task() -> None:
    method = make("finetune")
    learn(method, (FIRST,))
    learn(method, (FIRST, SECOND))
    logits = method.predict(torch.rand(8, 1, 16, 16), PredictionRequest((0, 1))).logits
    assert logits is not None
    assert (logits.argmax(1) < 2).all()


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"method\.name: expected one of .*ewc, ewc_prototype.*, found 'ewk'"):
        method_class("ewk")


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    method = make("finetune")
    context = context_of((FIRST,))
    split = bar_split(FIRST, context.labels)
    split.images[:] = torch.nan
    with pytest.raises(AnamnesisError, match="not finite"):
        train(method, context, data_of(context, split), PRECISION)
