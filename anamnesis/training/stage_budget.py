"""The length of a stage: its batches, steps and passes, and the learning rate of each step."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.methods.base import Batch, Data
from anamnesis.methods.batch_sources import TrainingSplitBatches
from anamnesis.methods.stage import BatchSource, Stage, TrainingPass
from anamnesis.records import InputError, TrainingSettings
from anamnesis.training.schedules import learning_rate_factor

GRADIENT_NORM_STEPS = 50
"""Gradient norms are measured at the first step of the last pass, and before it of a pass every so many steps."""


@dataclass(slots=True)
class Position:
    """Position of the loop: only counters, because random streams need nothing else.

    Attributes:
        stage: index of the stage.
        epoch: number of the pass over the stage's data.
        batch: finished batches of this pass.
        step_index: finished optimiser steps of this stage.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step_index: int = 0


@dataclass(frozen=True, slots=True)
class StageBudget:
    """How long a stage is.

    Attributes:
        stage: the stage.
        source: its batches.
        batch_size: samples of a batch.
        batches_per_pass: batches of a pass.
        steps_per_pass: optimiser steps of a pass.
        total_steps: optimiser steps of the stage.
        peak_rate: the learning rate that the schedule scales.
    """

    stage: Stage
    source: BatchSource
    batch_size: int
    batches_per_pass: int
    steps_per_pass: int
    total_steps: int
    peak_rate: float

    @classmethod
    def of(cls, stage: Stage, settings: TrainingSettings, data: Data) -> "StageBudget":
        """Returns the budget of a stage; what it does not declare comes from the settings and the training split."""
        source = stage.source or TrainingSplitBatches(data)
        batch_size = stage.batch_size or settings.batch_size
        batches_per_pass = source.batch_count(batch_size)
        steps_per_pass = -(-batches_per_pass // stage.accumulation)
        if settings.learning_rate is None:
            raise InputError(
                "training.learning_rate: expected a number, found none; choose one, or call find_learning_rate first"
            )
        total_steps = stage.steps or (stage.epochs or settings.epochs) * steps_per_pass
        return cls(
            stage,
            source,
            batch_size,
            batches_per_pass=batches_per_pass,
            steps_per_pass=steps_per_pass,
            total_steps=total_steps,
            peak_rate=settings.learning_rate,
        )

    def batches_of_pass(self, position: Position) -> Iterator[Batch]:
        """Returns the batches of the pass at a position, from the first one that is not finished."""
        stage = self.stage
        return self.source(
            TrainingPass(
                stage.name,
                epoch=position.epoch,
                first_batch=position.batch,
                views=stage.views,
                batch_size=self.batch_size,
                augmentation=stage.augmentation,
            )
        )

    def learning_rate(self, step_index: int) -> float:
        """Returns the learning rate of a step."""
        return self.peak_rate * learning_rate_factor(self.stage.schedule, step_index, self.total_steps)

    def measures_gradients(self, epoch: int) -> bool:
        """Returns whether the gradient norms of each term are measured at the first step of a pass."""
        first_step = epoch * self.steps_per_pass
        previous_step = max(first_step - self.steps_per_pass, 0)
        is_due = first_step // GRADIENT_NORM_STEPS != previous_step // GRADIENT_NORM_STEPS
        return is_due or epoch == self.pass_count - 1

    @property
    def pass_count(self) -> int:
        """Number of passes, the last one may end early."""
        return -(-self.total_steps // max(self.steps_per_pass, 1))

    def describe(self, epoch: int) -> str:
        """Returns the stage and the pass in words."""
        return f"{self.stage.name} epoch {epoch + 1} of {self.pass_count}"
