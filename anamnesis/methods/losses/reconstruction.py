"""Reconstruction: the encoder keeps describing the whole image, not only what distinguishes the classes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.records.option_checks import check_bounds, not_negative


@dataclass(frozen=True, slots=True)
class ReconstructionOptions:
    """The reconstruction of images from their feature maps.

    Attributes:
        weight: of the squared error per pixel.
    """

    weight: float = not_negative(1.0)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.reconstruction", self)


class ReconstructionLoss(LossTerm):
    """Mean squared error per pixel between decoded and true image; between 0 and 1 for any size of image.

    With ``use_class_means`` the target is the mean of the batch's images of the same class, not the image itself.
    """

    name = "reconstruction"

    def __init__(self, weight: float, use_class_means: bool) -> None:
        super().__init__(weight)
        self.use_class_means = use_class_means

    def loss(self, output: ForwardOutput) -> Tensor:
        """1/(N C H W) sum_i |D(E(x_i)) - x_i|^2."""
        assert output.reconstruction is not None
        targets = class_means_of_batch(output.images, output.targets) if self.use_class_means else output.images
        return functional.mse_loss(output.reconstruction, targets)


def class_means_of_batch(images: Tensor, targets: Tensor) -> Tensor:
    """Returns, for each of images [N, C, H, W], the mean of those with the same target [N]."""
    is_same_class = (targets[:, None] == targets).to(images)
    return torch.einsum("nm,mchw->nchw", is_same_class / is_same_class.sum(1, keepdim=True), images)
