"""What a stage declares: its data, its length, its steps; each resumes to the bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SPEC, NoOptions, bar_split, context_of, data_of
from torch import Tensor
from torch.nn import functional

from anamnesis.methods import Batch, Data, RateSchedule, Stage, TaskContext, TrainingPass, TrainingStep
from anamnesis.methods.base import CLASS, PROBABILITIES
from anamnesis.methods.batch_sources import (
    ChangedBatches,
    GeneratedBatches,
    TrainingSplitBatches,
    batch_sizes,
    join_batches,
)
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.stage import AugmentationChoice
from anamnesis.records import Configuration, TrainingSettings
from anamnesis.storage.store import open_store
from anamnesis.training import CheckpointPace, Checkpoints, precision_for, train
from anamnesis.training.augmentation import Augmentation

PRECISION = precision_for(Configuration("finetune"), "cpu")
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3, augment=False)


class DeclaredStage(ClassificationMethod[NoOptions]):
    """Cross-entropy in one stage that a test declares."""

    name = "declared_stage"
    declare: Callable[..., Stage]

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        (stage,) = super().begin_task(context, data)
        self.context, self.steps, self.batches = context, list[TrainingStep](), list[Batch]()
        return [type(self).declare(self, stage, data)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        self.batches.append(batch)
        return super().loss(batch, step)

    def after_step(self, step: TrainingStep) -> None:
        self.steps.append(step)


class LoopKilledError(Exception):
    """Stands for SIGKILL."""


Declaration = Callable[[Any, Stage, Data], Stage]


def make(declare: Declaration, base: type[DeclaredStage] = DeclaredStage) -> DeclaredStage:
    kind = type("Declared", (base,), {"declare": declare})
    return kind(NoOptions(), SPEC, seed=3)


def learn(method: DeclaredStage, settings: TrainingSettings = SETTINGS, **options: Any) -> tuple[dict[str, float], ...]:
    context = context_of((FIRST,), settings)
    log = train(method, context, data_of(context, bar_split(FIRST, context.labels)), PRECISION, **options)
    return tuple(dict(epoch) for epoch in log.epoch_losses)


def weights(method: DeclaredStage) -> Tensor:
    return torch.cat([value.detach().flatten() for value in method.network.parameters()])


def assert_resumes(declare: Declaration, tmp_path: Path, base: type[DeclaredStage] = DeclaredStage) -> DeclaredStage:
    """Kills the training after each of its first steps; the last attempt ends with equal weights and log."""
    whole = make(declare, base)
    log = learn(whole)
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/x", CheckpointPace(0, 0))
    for _ in range(4):

        def kill(completed: int, total: int, unit: str) -> None:
            raise LoopKilledError

        with pytest.raises(LoopKilledError):
            learn(make(declare, base), checkpoints=checkpoints, progress=kill)
    resumed = make(declare, base)
    assert learn(resumed, checkpoints=checkpoints) == log
    assert len(resumed.steps) < len(whole.steps)
    assert torch.equal(weights(whole), weights(resumed))
    return whole


def generate_bars(method: DeclaredStage, training_pass: TrainingPass, index: int) -> Batch:
    generator = method.context.streams.generator("generated", training_pass.stage, training_pass.epoch, index)
    targets = torch.randint(2, (6,), generator=generator)
    images = 0.3 * torch.rand(6, 1, 16, 16, generator=generator)
    for row, target in enumerate(targets.tolist()):
        images[row, :, 4 * target : 4 * target + 3] += 0.6
    images = images.contiguous(memory_format=torch.channels_last)
    return Batch({"OT": (images,)}, {CLASS: targets}, torch.full((6,), -1))


def test_a_stage_without_data_learns_generated_samples(tmp_path: Path) -> None:
    def declare(method: DeclaredStage, stage: Stage, data: Data) -> Stage:
        source = GeneratedBatches(lambda training_pass, index: generate_bars(method, training_pass, index), 10)
        return replace(stage, source=source, steps=60)

    method = assert_resumes(declare, tmp_path)
    assert len(method.steps) == 60
    split = bar_split(FIRST, method.context.labels)
    logits = method.network.eval()(split.images.float())
    assert (logits.argmax(1) == split.classes).float().mean() > 0.9  # of images that it never saw


class SoftReplay(DeclaredStage):
    """Soft cross-entropy on the new samples and as many replayed ones, all in one batch."""

    def declare(self, stage: Stage, data: Data) -> Stage:
        def add_replay(batch: Batch, training_pass: TrainingPass, index: int) -> Batch:
            return join_batches(_soften(batch, 0.9), _soften(generate_bars(self, training_pass, index), 0.6))

        return replace(stage, source=ChangedBatches(TrainingSplitBatches(data), add_replay))

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        self.batches.append(batch)
        return {"soft": functional.cross_entropy(self.network(batch.images), batch.targets[PROBABILITIES])}


def _soften(batch: Batch, confidence: float) -> Batch:
    """Returns the batch with ``confidence`` for its class, and the rest for the other class."""
    probabilities = functional.one_hot(batch.classes, 2).float() * (2 * confidence - 1) + 1 - confidence
    return replace(batch, targets={**batch.targets, PROBABILITIES: probabilities})


def test_a_source_adds_replayed_samples_and_soft_targets(tmp_path: Path) -> None:
    method = assert_resumes(SoftReplay.declare, tmp_path, SoftReplay)
    assert [len(batch.sample_indices) for batch in method.batches] == [14, 14, 10] * 2
    first = method.batches[0]
    assert first.targets[PROBABILITIES].max(1).values.tolist() == pytest.approx([0.9] * 8 + [0.6] * 6)
    assert (first.sample_indices[8:] == -1).all()
    assert torch.equal(first.targets[PROBABILITIES].argmax(1), first.classes)
    plain = make(lambda method, stage, data: stage)
    learn(plain)
    assert torch.equal(first.images[:8], plain.batches[0].images)  # the new samples are the same
    assert not torch.equal(weights(method), weights(plain))


def test_steps_instead_of_epochs_may_end_inside_a_pass(tmp_path: Path) -> None:
    method = assert_resumes(lambda method, stage, data: replace(stage, steps=11), tmp_path)
    assert [step.step_index for step in method.steps] == list(range(11))
    assert {step.total_steps for step in method.steps} == {11}
    assert [step.epoch for step in method.steps] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 2  # 20 images, 8 a batch
    assert len(learn(make(lambda method, stage, data: replace(stage, steps=11)))) == 4


def test_a_stage_has_its_own_batch_size_and_schedule(tmp_path: Path) -> None:
    def declare(method: DeclaredStage, stage: Stage, data: Data) -> Stage:
        return replace(stage, batch_size=5, schedule=RateSchedule.CONSTANT, epochs=3)

    method = assert_resumes(declare, tmp_path)
    assert [len(batch.classes) for batch in method.batches] == [5] * 12
    assert [step.learning_rate for step in method.steps[1:]] == [SETTINGS.learning_rate] * 11


def test_accumulated_batches_are_one_large_batch() -> None:
    accumulated = make(lambda method, stage, data: replace(stage, batch_size=4, accumulation=3, optimiser="sgd"))
    large = make(lambda method, stage, data: replace(stage, batch_size=12, optimiser="sgd"))
    learn(accumulated)
    learn(large)
    assert [len(batch.classes) for batch in large.batches] == [12, 8] * 2
    assert len(accumulated.steps) == len(large.steps) == 4
    assert [step.micro_batch for step in accumulated.steps] == [2, 1] * 2
    torch.testing.assert_close(weights(accumulated), weights(large), rtol=1e-4, atol=1e-6)
    small = make(lambda method, stage, data: replace(stage, batch_size=4, optimiser="sgd"))
    learn(small)
    assert not torch.allclose(weights(small), weights(large), rtol=1e-4, atol=1e-6)


def test_accumulation_resumes_between_steps(tmp_path: Path) -> None:
    assert_resumes(lambda method, stage, data: replace(stage, batch_size=3, accumulation=2, epochs=3), tmp_path)


def test_a_clipped_gradient_has_the_declared_norm_and_the_log_has_that_before_clipping() -> None:
    moves, logged_norms = {}, {}
    for norm in (0.0, 1e-3, 1e9):
        method = make(
            lambda method, stage, data, norm=norm: replace(stage, gradient_norm=norm, optimiser="sgd", steps=1)
        )  # type: ignore[misc]
        before = make(lambda method, stage, data: stage)
        before.begin_task(context_of((FIRST,)), None)  # type: ignore[arg-type]
        (line,) = learn(method, replace(SETTINGS, weight_decay=0.0, learning_rate=1.0))
        logged_norms[norm] = line["classification.gradient"]
        moves[norm] = (weights(method) - weights(before)).norm().item()
    assert moves[1e-3] == pytest.approx(1e-3, rel=1e-2)
    assert moves[0.0] == moves[1e9] > 0.01
    assert logged_norms == pytest.approx(dict.fromkeys(moves, moves[0.0]), rel=1e-4)


def test_a_stage_chooses_its_augmentation() -> None:
    split = bar_split(FIRST, context_of((FIRST,)).labels)

    def is_clean(augmentation: object, augment: bool) -> bool:
        method = make(lambda method, stage, data: replace(stage, augmentation=augmentation))  # type: ignore[arg-type]
        learn(method, replace(SETTINGS, augment=augment))
        first = method.batches[0]
        return torch.equal(first.images, split.images[first.sample_indices].float())

    assert is_clean(AugmentationChoice.NONE, augment=True)
    assert is_clean(AugmentationChoice.SETTINGS, augment=False)
    assert not is_clean(AugmentationChoice.SETTINGS, augment=True)
    assert not is_clean(Augmentation(degrees=30.0), augment=False)


def test_a_source_that_gives_fewer_batches_than_it_declares_is_an_error() -> None:
    class ShortSource(TrainingSplitBatches):
        def batch_count(self, batch_size: int) -> int:
            return super().batch_count(batch_size) + 1

    with pytest.raises(ValueError, match="expected 4 batches in a pass, found 3"):
        learn(make(lambda method, stage, data: replace(stage, source=ShortSource(data))))


def test_a_stage_has_epochs_or_steps() -> None:
    with pytest.raises(ValueError, match="expected epochs or steps, found 2 and 3"):
        Stage("train", (), (), epochs=2, steps=3)
    with pytest.raises(ValueError, match="accumulation: expected 1 or more, found 0"):
        Stage("train", (), (), accumulation=0)


@pytest.mark.parametrize(("count", "sizes"), [(17, [8, 9]), (16, [8, 8]), (18, [8, 8, 2]), (1, [1]), (7, [7]), (0, [])])
def test_no_batch_of_one_sample_is_left_for_batch_normalisation(count: int, sizes: list[int]) -> None:
    assert batch_sizes(count, 8) == sizes


def test_a_pass_has_as_many_batches_as_its_source_says() -> None:
    context = context_of((FIRST,), SETTINGS)
    source = TrainingSplitBatches(data_of(context, bar_split(FIRST, context.labels, count=17)))
    batches = list(source(TrainingPass("train")))
    assert [len(batch.sample_indices) for batch in batches] == [8, 9]
    assert source.batch_count(8) == 2
