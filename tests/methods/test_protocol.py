"""The contract that every method keeps, held against the registered ones and against the extremes of the protocol."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import (
    EXTREMES,
    FIRST,
    SECOND,
    SETTINGS,
    SPEC,
    NoOptions,
    Segmenter,
    TwoInputs,
    Volumes,
    bar_split,
    context_of,
    cube_split,
    data_of,
    pair_split,
    square_split,
)

from anamnesis.evaluation.saliency import explain_classes
from anamnesis.methods import Batch, Method, Prediction, PredictionRequest, method_class, registered_methods
from anamnesis.methods.fisher.site_penalties import SitePenalties
from anamnesis.records import AnamnesisError, Configuration, InputError, Split, Task, TaskType
from anamnesis.storage.store import open_store
from anamnesis.training import CheckpointPace, Checkpoints, TensorSplit, precision_for, train

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
    train(method, context, data_of(context, split_for(method, tasks[-1], context.labels)), PRECISION, **options)


def split_for(method: Method[Any], task: Task, labels: tuple[str, ...], count: int = 20) -> TensorSplit:
    if isinstance(method, Segmenter):
        return square_split()
    make_split = {TwoInputs: pair_split, Volumes: cube_split}.get(type(method), bar_split)
    return make_split(task, labels, count)


def predict(method: Method[Any], split: TensorSplit, columns: tuple[int, ...] = ()) -> Prediction:
    inputs = {name: images.float() for name, images in split.inputs.items()}
    return method.predict_inputs(inputs, PredictionRequest(columns, modalities=tuple(inputs)))


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
    PRECISION.move_to_device(loaded.network)  # another layout rounds differently
    split = split_for(method, tasks[0], context_of(tasks[:1]).labels)
    answer, loaded_answer = (predict(m, split) for m in (method, loaded))
    for expected, actual in ((answer.logits, loaded_answer.logits), (answer.mask_logits, loaded_answer.mask_logits)):
        assert (expected is None and actual is None) or torch.equal(expected, actual)
    if len(tasks) > 1:
        learn(method, tasks)
        learn(loaded, tasks)
        assert_equal_states(method, loaded)
        if not isinstance(method, TwoInputs | Volumes):
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


@pytest.mark.parametrize("name", ["ewc", "ewc_prototype", "frozen_ridge"])
def test_killed_after_the_passes_of_the_end_it_repeats_none(name: str) -> None:
    saved: dict[str, dict[str, torch.Tensor]] = {}

    def save_once(key: str, compute: Callable[[], Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        if key not in saved:
            saved[key] = dict(compute())
        return dict(saved[key])

    def read_no_images(split: Split) -> Iterator[Batch]:
        raise AssertionError(f"the split {split} is read again")

    context = replace(context_of((FIRST,)), checkpointed=save_once)
    data = data_of(context, bar_split(FIRST, context.labels))
    whole = make(name)
    whole.begin_task(context, data)
    broken = copy.deepcopy(whole)
    whole.end_task(context, data)
    broken.end_task(context, read_no_images)
    assert_equal_states(whole, broken)


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

    checkpoints = Checkpoints(store, "checkpoints/x", pace=CheckpointPace(0, 0))
    if name != "closed_form":
        with pytest.raises(StageKilledError):
            learn(broken, tasks, checkpoints=checkpoints, progress=kill)
        assert checkpoints.load() is not None
    resumed = make(name)
    learn(resumed, tasks, checkpoints=checkpoints)
    assert_equal_states(whole, resumed)


@pytest.mark.parametrize("name", ["closed_form", "two_views", "two_inputs", "volumes", "finetune", "ewc_prototype"])
def test_it_learns(name: str) -> None:
    method = make(name)
    context = context_of((FIRST,))
    split = split_for(method, FIRST, context.labels, count=64)
    settings = context.settings.__class__(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)
    context = context_of((FIRST,), settings)
    train(method, context, data_of(context, split), PRECISION)
    logits = predict(method, split, context.class_indices).logits
    assert logits is not None
    assert (logits.argmax(1) == split.classes).float().mean() > 0.9


def test_only_a_method_that_declares_it_reads_more_than_the_first_modality() -> None:
    read = [make(name).capabilities.read_modalities(("CT", "PT")) for name in ("two_inputs", "finetune")]
    assert read == [("CT", "PT"), ("CT",)]


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


@pytest.mark.parametrize("name", registered_methods())
def test_every_method_learns_two_tasks_in_bfloat16_with_losses_and_state_in_float32(name: str) -> None:
    settings = replace(SETTINGS, precision="bfloat16", epochs=1)
    precision = precision_for(Configuration("finetune", {}, SPEC, settings), "cpu")
    assert precision.use_bfloat16
    method, loss = make(name), KINDS[name].loss
    dtypes: set[torch.dtype] = set()

    def record_dtypes(batch: Any, step: Any) -> dict[str, torch.Tensor]:
        terms = loss(method, batch, step)
        dtypes.update(term.dtype for term in terms.values())
        return terms

    method.loss = record_dtypes  # type: ignore[method-assign]
    for tasks in ((FIRST,), (FIRST, SECOND)):
        context = context_of(tasks, settings)
        log = train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), precision)
        assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epoch_losses)
    assert dtypes <= {torch.float32}
    tensors = [value for value in method.state_dict().values() if isinstance(value, torch.Tensor)]
    assert {value.dtype for value in tensors if value.is_floating_point()} <= {torch.float32, torch.float64}
    with precision.autocast():
        logits = method.predict(torch.rand(4, 1, 16, 16), PredictionRequest()).logits
    assert logits is not None
    assert logits.dtype is torch.float32
    assert not logits.isnan().any()


@pytest.mark.parametrize("name", ["ewc", "ewc_prototype"])
def test_killed_after_its_fisher_information_it_does_not_compute_it_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken, resumed = make(name), make(name), make(name)
    learn(whole, (FIRST,))
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/x", pace=CheckpointPace(0, 0))

    def kill(*arguments: object, **options: object) -> None:
        raise StageKilledError

    with monkeypatch.context() as patch:
        patch.setattr(SitePenalties, "replace", kill)
        with pytest.raises(StageKilledError):
            learn(broken, (FIRST,), checkpoints=checkpoints)
    with monkeypatch.context() as patch:
        patch.setattr("anamnesis.methods.ewc.fisher_diagonal", kill)
        patch.setattr("anamnesis.methods.fisher.task_fisher.fisher_diagonal", kill)
        patch.setattr("anamnesis.methods.fisher.task_fisher.gaussian_fisher_diagonal", kill)
        learn(resumed, (FIRST,), checkpoints=checkpoints)
        with pytest.raises(StageKilledError):  # other weights need their own
            learn(KINDS[name](KINDS[name].options_class(), SPEC, seed=4), (FIRST,), checkpoints=fresh(checkpoints))
    assert_equal_states(whole, resumed)


def fresh(checkpoints: Checkpoints) -> Checkpoints:
    """Returns the checkpoints with their saved results, without their training."""
    checkpoints.store.delete(f"{checkpoints.key_prefix}/manifest.json")
    return checkpoints
