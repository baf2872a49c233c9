"""A summand of a loss: a component with a weight and a value; every summand reads the same forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from anamnesis.methods.method_component import MethodComponent
from anamnesis.methods.stage import TrainingStep
from anamnesis.networks import Classifier


@dataclass(frozen=True, slots=True)
class ForwardOutput:
    """One forward pass of a batch; every loss term reads it, so that the network runs once.

    Attributes:
        images: [N, C, H, W] in [0, 1].
        targets: [N] columns of the logits.
        sample_indices: [N] positions in the split; rows of the stored prototypes in ``prototype_output``.
        feature_maps: [N, F, h, w] last feature maps.
        logits: [N, K] over all classes seen so far.
        reconstruction: [N, C, H, W] in [0, 1]; none where no loss term needs it.
        class_indices: classes of the current task.
        network: the network that computed them.
        step: position of the training.
        prototype_output: the output for stored visual prototypes of earlier classes, from the same forward pass.
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


class LossTerm(MethodComponent, ABC):
    """One summand. A method leaves out summands of weight 0, and with them exactly their gradients.

    Attributes:
        weight: factor on ``loss``.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    @abstractmethod
    def loss(self, output: ForwardOutput) -> Tensor | None:
        """Returns the scalar before its weight, or none where it does not apply yet."""
