"""FNC2 with a buffer: each stored image once a pass, never an anchor, and equally many of each class."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import Stage, TrainingPass, TrainingStep
from anamnesis.methods.fnc2 import ProjectorOptions
from anamnesis.methods.fnc2_replay import FNC2Replay, FNC2ReplayOptions
from anamnesis.records import Configuration, InputError, Task, TrainingSettings
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("fnc2_replay"), "cpu")
SHORT = TrainingSettings(epochs=1, batch_size=8, learning_rate=5e-3, augment=False)
STEP = TrainingStep("train", 0, step_index=0, total_steps=2, learning_rate=1e-3)


def make(buffer: int = 10) -> FNC2Replay:
    return FNC2Replay(FNC2ReplayOptions(projector=ProjectorOptions(dimension=8), buffer=buffer), SPEC, seed=0)


def learn(method: FNC2Replay, *tasks: Task) -> None:
    context = context_of(tasks, SHORT)
    train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), PRECISION)


def begin(method: FNC2Replay, *tasks: Task, settings: TrainingSettings = SHORT, **changes: Any) -> Stage:
    context = replace(context_of(tasks, settings), **changes)
    (stage,) = method.begin_task(context, data_of(context, bar_split(tasks[-1], context.labels)))
    return stage


def test_a_pass_shows_each_stored_image_once_behind_the_new_ones() -> None:
    method = make()
    learn(method, FIRST)
    samples = method._buffer.samples
    assert samples is not None
    assert samples.targets.bincount().tolist() == [5, 5]
    stage = begin(method, FIRST, SECOND)
    assert stage.source is not None
    whole_pass = TrainingPass("train", epoch=1, views=2, batch_size=8)
    batches = list(stage.source(whole_pass))
    assert [len(batch.classes) for batch in batches] == [8 + 3, 8 + 3, 4 + 4]
    stored = [(batch.images[batch.sample_indices < 0], batch.classes[batch.sample_indices < 0]) for batch in batches]
    images = torch.cat([images for images, _ in stored])
    assert sorted((images * 255).round().byte().flatten(1).tolist()) == sorted(samples.images.flatten(1).tolist())
    assert sorted(torch.cat([targets for _, targets in stored]).tolist()) == [0] * 5 + [1] * 5
    resumed = list(stage.source(replace(whole_pass, first_batch=2)))
    assert torch.equal(resumed[0].images, batches[2].images)
    augmented = begin(method, FIRST, SECOND, settings=replace(SHORT, augment=True)).source
    assert augmented is not None
    first = next(iter(augmented(whole_pass)))
    assert not torch.equal(*(view[-1] for view in first.views))


def test_stored_images_are_no_anchors_but_change_the_loss() -> None:
    method = make()
    learn(method, FIRST)
    stage = begin(method, FIRST, SECOND)
    assert stage.source is not None
    batch = next(iter(stage.source(TrainingPass("train", views=2, batch_size=8))))
    is_new = batch.sample_indices >= 0
    terms = method.loss(batch, STEP)
    relabelled = replace(batch, targets={"class": torch.where(is_new, batch.classes, 1 - batch.classes)})
    assert torch.equal(method.loss(relabelled, STEP)["pairs"], terms["pairs"])  # no pair begins at a stored image
    darker = replace(
        batch, inputs={"image": tuple(v * torch.where(is_new, 1, 0)[:, None, None, None] for v in batch.views)}
    )
    assert not torch.allclose(method.loss(darker, STEP)["pairs"], terms["pairs"])


def test_the_images_of_a_returning_site_leave_and_the_buffer_stays_balanced() -> None:
    method = make()
    learn(method, FIRST)
    learn(method, FIRST, SECOND)
    samples = method._buffer.samples
    assert samples is not None
    assert samples.targets.bincount().tolist() == [2] * 5
    columns = {"site-2": (2, 3, 4)}
    context = context_of((FIRST, SECOND))
    begin(method, FIRST, labels=context.labels, other_sites=columns, is_returning=True)
    assert method._buffer.samples is not None
    assert method._buffer.samples.targets.bincount().tolist() == [0, 0, 2, 2, 2]


def test_a_buffer_smaller_than_the_number_of_classes_is_refused() -> None:
    method = make(buffer=4)
    begin(method, FIRST)
    with pytest.raises(
        InputError, match=r"fnc2_replay\.buffer: expected at least 5, one image for each class, found 4"
    ):
        begin(method, FIRST, SECOND)
    with pytest.raises(InputError, match=r"fnc2_replay\.buffer: expected 1 or more, at most 1e\+07, found 0"):
        FNC2ReplayOptions(buffer=0)
