"""The image from its feature maps: what keeps the encoder describing all of the image, not only what tells classes."""

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.loss_term import Pass, Term


class Reconstruction(Term):
    """Mean squared error per pixel between decoded and true image; between 0 and 1 whatever the image's size.

    With ``class_means`` the target is the mean of the batch's images of the same class in place of the image itself.
    """

    name = "reconstruction"

    def __init__(self, weight: float, class_means: bool) -> None:
        super().__init__(weight)
        self.class_means = class_means

    def loss(self, run: Pass) -> Tensor:
        """1/(N C H W) sum_i |D(E(x_i)) - x_i|^2."""
        assert run.reconstruction is not None
        targets = batch_means(run.images, run.targets) if self.class_means else run.images
        return functional.mse_loss(run.reconstruction, targets)


def batch_means(images: Tensor, targets: Tensor) -> Tensor:
    """Returns, for each of images [N, C, H, W], the mean of those with the same target [N]."""
    same = (targets[:, None] == targets).to(images)
    return torch.einsum("nm,mchw->nchw", same / same.sum(1, keepdim=True), images)
