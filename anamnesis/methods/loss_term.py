"""What a term of a loss is: a small class with its own weight, state and checkpoint; a method's loss is their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Data, StateDict, TaskContext, TrainingStep
from anamnesis.networks import Classifier


@dataclass(frozen=True, slots=True)
class ForwardOutput:
    """One forward pass of a batch; every term reads it, so that the network runs once.

    Attributes:
        images: [N, C, H, W] in [0, 1].
        targets: [N] columns of the logits.
        sample_indices: [N] positions in the split.
        feature_maps: [N, F, h, w] last feature maps.
        logits: [N, K] over every class seen so far.
        reconstruction: [N, C, H, W] in [0, 1]; none where no term asks for it.
        class_indices: of the task at hand.
        network: that made them.
        step: where the training is.
        prototype_output: the same for stored visual prototypes of earlier classes, which went through the same forward pass.
    """

    images: Tensor
    targets: Tensor
    sample_indices: Tensor
    feature_maps: Tensor
    logits: Tensor
    reconstruction: Tensor | None
    class_indices: tuple[int, ...]
    network: Classifier
    step: TrainingStep
    prototype_output: ForwardOutput | None = None


class LossTerm:
    """One summand. Weight 0 switches it off: then ``loss`` is never computed, and exactly its gradient is gone.

    Attributes:
        name: in the loss, the log and the state's parts.
        weight: factor on ``loss``.
    """

    name: ClassVar[str]

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Grows with the head and prepares for the task; depends on the base version and the data alone."""

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """Returns the scalar before its weight, or none where there is nothing to say yet."""
        return None

    def after_step(self, network: Classifier, step: TrainingStep) -> None:
        """Proximal updates, after the optimiser's step."""

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Measures what later tasks need; can be run again."""

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Returns what the term itself learns, beside the network."""
        return ()

    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns scalars of the last pass that are logged and not part of the loss."""
        return {}

    def state_dict(self) -> StateDict:
        """Returns what a later task, or a resumed run, needs, by ``part/name``."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes back what ``state_dict`` gave; what it does not find is empty."""
