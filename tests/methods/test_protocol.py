"""The contract that every method keeps, held against the registered ones and against the extremes of the protocol."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.learning import EXTREMES, FIRST, SECOND, SPEC, NoOptions, Segmenter, bars, context_of, data_of, discs

from anamnesis.methods import Method, PredictRequest, method_class, methods
from anamnesis.records import AnamnesisError, Configuration, InputError, Task, TaskType
from anamnesis.storage.store import open_store
from anamnesis.training import Checkpoints, numerics_for, train

KINDS: dict[str, type[Method[Any]]] = {**methods(), **{kind.name: kind for kind in EXTREMES}}
NUMERICS = numerics_for(Configuration("finetune"), "cpu")


class KilledError(Exception):
    """Stands for SIGKILL inside one process."""


def make(name: str) -> Method[Any]:
    kind = KINDS[name]
    options = kind.options_class() if name in methods() else NoOptions()
    return kind(options, SPEC, seed=3)


def learn(method: Method[Any], tasks: tuple[Task, ...], **more: Any) -> None:
    context = context_of(tasks)
    split = discs() if isinstance(method, Segmenter) else bars(tasks[-1], context.labels)
    train(method, context, data_of(context, split), NUMERICS, **more)


def tasks_for(method: Method[Any]) -> tuple[Task, ...]:
    if TaskType.SEGMENTATION in method.needs.tasks:
        return (Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice"),)
    return (FIRST, SECOND)


def assert_equal_states(one: Method[Any], other: Method[Any]) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        found = second[name]
        assert torch.equal(value, found) if isinstance(value, torch.Tensor) else value == found, name


@pytest.mark.parametrize("name", KINDS)
def test_a_loaded_state_answers_and_learns_on_as_the_original(name: str) -> None:
    method = make(name)
    tasks = tasks_for(method)
    learn(method, tasks[:1])
    loaded = make(name)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), len(context_of(tasks[:1]).labels))
    assert_equal_states(method, loaded)
    loaded.network.to(memory_format=NUMERICS.layout)  # another layout rounds differently
    images = torch.rand(4, 1, 16, 16)
    answer, again = (m.predict(images, PredictRequest()) for m in (method, loaded))
    for one, other in ((answer.logits, again.logits), (answer.mask, again.mask)):
        assert (one is None and other is None) or torch.equal(one, other)
    if len(tasks) > 1:
        learn(method, tasks)
        learn(loaded, tasks)
        assert_equal_states(method, loaded)


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

    def kill(done: int, total: int, what: str) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            raise KilledError

    checkpoints = Checkpoints(store, "checkpoints/x", every=0)
    if name != "closed_form":
        with pytest.raises(KilledError):
            learn(broken, tasks, checkpoints=checkpoints, progress=kill)
        assert checkpoints.load() is not None
    resumed = make(name)
    learn(resumed, tasks, checkpoints=checkpoints)
    assert_equal_states(whole, resumed)


@pytest.mark.parametrize("name", ["closed_form", "two_views", "finetune", "ewc_prototype"])
def test_it_learns(name: str) -> None:
    method = make(name)
    context = context_of((FIRST,))
    split = bars(FIRST, context.labels, count=64)
    settings = context.settings.__class__(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)
    context = context_of((FIRST,), settings)
    train(method, context, data_of(context, split), NUMERICS)
    logits = method.predict(split.images.float(), PredictRequest(context.columns)).logits
    assert logits is not None
    assert (logits.argmax(1) == split.targets).float().mean() > 0.9


def test_a_segmenter_learns_masks() -> None:
    method = make("segmenter")
    learn(method, tasks_for(method))
    split = discs()
    mask = method.predict(split.images.float(), PredictRequest()).mask
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
    method.begin(context_of((FIRST, SECOND)), None)  # type: ignore[arg-type]
    assert method.network.head.weight.shape[0] == 5
    assert torch.equal(method.network.head.weight[:2], old)


def test_task_incremental_answers_stay_inside_the_task() -> None:
    method = make("finetune")
    learn(method, (FIRST,))
    learn(method, (FIRST, SECOND))
    logits = method.predict(torch.rand(8, 1, 16, 16), PredictRequest((0, 1))).logits
    assert logits is not None
    assert (logits.argmax(1) < 2).all()


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'ewc' is not one of .*ewc_prototype"):
        method_class("ewc")


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    method = make("finetune")
    context = context_of((FIRST,))
    split = bars(FIRST, context.labels)
    split.images[:] = torch.nan
    with pytest.raises(AnamnesisError, match="not finite"):
        train(method, context, data_of(context, split), NUMERICS)
