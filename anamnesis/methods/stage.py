"""A stage of gradient descent: what learns, on which batches, and how each step is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from torch import nn

if TYPE_CHECKING:  # both import this module
    from anamnesis.methods.base import Batch
    from anamnesis.training.augmentation import Augmentation


class RateSchedule(StrEnum):
    """How the learning rate changes in a stage; see ``training/schedules.py``."""

    COSINE = "cosine"
    """Linear warm-up, then half a cosine."""
    LINEAR = "linear"
    """Linear warm-up, then a straight line down."""
    CONSTANT = "constant"
    """Linear warm-up, then the peak rate."""


class AugmentationChoice(StrEnum):
    """Augmentation of a stage that has none of its own."""

    SETTINGS = "settings"
    """The loop's, where the user's settings have it switched on."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that learn at the same rate.

    Attributes:
        parameters: the parameters.
        lr_scale: factor on the learning rate of the settings.
        weight_decay_scale: factor on the weight decay of the settings.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_scale: float = 1.0
    weight_decay_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingPass:
    """One pass over the data of a stage. Equal passes give equal batches: random streams are named by it.

    Attributes:
        stage: name of the stage, in the names of the random streams.
        epoch: number of the pass.
        first_batch: number of the first batch, when training resumes inside the pass.
        views: augmented views of each image.
        batch_size: samples of a batch; 0 takes the settings'.
        augmentation: of the views.
    """

    stage: str
    epoch: int = 0
    first_batch: int = 0
    views: int = 1
    batch_size: int = 0
    augmentation: Augmentation | AugmentationChoice = AugmentationChoice.SETTINGS


class BatchSource(Protocol):
    """The batches of a stage; ``batch_sources.py`` has those that methods share."""

    def __call__(self, training_pass: TrainingPass) -> Iterator[Batch]:
        """Yields the batches of a pass from ``first_batch`` on; they depend on the pass and the base version alone."""

    def batch_count(self, batch_size: int) -> int:
        """Returns the exact number of batches of a whole pass, for batches of ``batch_size`` samples."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of gradient descent.

    Attributes:
        name: names its random streams, checkpoints and log lines.
        groups: the parameters that learn; all others are frozen.
        train_modules: modules in training mode; all others are in evaluation mode, so that their buffers do not change.
        epochs: passes over the stage's data; 0 takes the settings'.
        steps: optimiser steps of the stage, instead of ``epochs``; 0 counts epochs.
        views: augmented views of each image.
        optimiser: ``adamw`` or ``sgd``; empty takes the settings'.
        schedule: how the learning rate changes.
        batch_size: samples of a batch; 0 takes the settings'.
        accumulation: batches of an optimiser step. Each batch weighs as much as it has samples, so the gradient is that
            of one large batch, for terms that are means over the samples and a network without batch normalisation.
        gradient_norm: largest L2 norm of the gradient of a step, over all groups together; 0 does not clip.
        augmentation: that of the settings, none, or the stage's own, which the user's settings do not switch off.
        source: the batches; none takes the training split's. A source may wrap these, or have no data at all.
    """

    name: str
    groups: tuple[ParameterGroup, ...]
    train_modules: tuple[nn.Module, ...]
    epochs: int = 0
    steps: int = 0
    views: int = 1
    optimiser: str = ""
    schedule: RateSchedule = RateSchedule.COSINE
    batch_size: int = 0
    accumulation: int = 1
    gradient_norm: float = 0.0
    augmentation: Augmentation | AugmentationChoice = AugmentationChoice.SETTINGS
    source: BatchSource | None = None

    def __post_init__(self) -> None:
        if self.epochs and self.steps:
            raise ValueError(f"stage {self.name!r}: expected epochs or steps, found {self.epochs} and {self.steps}")
        for name, smallest in {"epochs": 0, "steps": 0, "batch_size": 0, "gradient_norm": 0, "accumulation": 1}.items():
            if getattr(self, name) < smallest:
                raise ValueError(
                    f"stage {self.name!r}: {name}: expected {smallest} or more, found {getattr(self, name)}"
                )

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters of all groups."""
        return tuple(parameter for group in self.groups for parameter in group.parameters)


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Position of the training.

    Attributes:
        stage: the stage's name.
        epoch: number of the pass, from 0.
        step_index: optimiser steps taken in this stage, from 0.
        total_steps: optimiser steps of this stage.
        learning_rate: the learning rate of this step.
        micro_batch: number of the batch inside the step, from 0; above 0 only where the stage accumulates batches.
    """

    stage: str
    epoch: int
    step_index: int
    total_steps: int
    learning_rate: float
    micro_batch: int = 0

    @property
    def progress(self) -> float:
        """From 0 at the first step to 1 at the last."""
        return self.step_index / max(self.total_steps - 1, 1)
