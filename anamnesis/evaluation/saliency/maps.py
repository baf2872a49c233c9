"""Grad-CAM in one batched pass."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from anamnesis.networks import evaluation_mode


class SaliencyNetwork(Protocol):
    """The interface that Grad-CAM needs; an ``nn.Module`` already has ``modules``."""

    def features(self, images: Tensor) -> Tensor:
        """Returns the last feature maps, [N, C, h, w], of images [N, channels, H, W]."""

    def classify(self, features: Tensor) -> Tensor:
        """Returns logits, [N, K], of feature maps."""

    def modules(self) -> Iterator[Any]:
        """Returns every submodule, like ``nn.Module.modules``."""


def grad_cam(
    network: SaliencyNetwork, images: Tensor, class_indices: Tensor, contrast_classes: Sequence[int] = ()
) -> Tensor:
    """Returns Grad-CAM maps at the resolution of the feature maps, [N, h, w], not normalised, zero or more.

    relu(sum_c mean_hw(d logit / d A_c) A_c): Selvaraju et al., ICCV 2017. In eval mode one image's logit depends on
    its own features alone, so the gradient of the sum is every image's gradient. The backbone runs without a graph:
    only the classifier is differentiated, with respect to its input, and no parameter gets a gradient.

    With ``contrast_classes``, the score is the class's logit minus the mean logit of those classes. A softmax does not
    depend on the common part of its logits. Two networks with equal answers can therefore differ in that part, and the
    class with the highest logit can have no positive evidence: its plain map is zero everywhere.

    Args:
        network: its mode is restored.
        images: [N, channels, H, W].
        class_indices: [N], the class to explain, one per image.
        contrast_classes: the columns of the task; without them the score is the plain logit.
    """
    with evaluation_mode(network), torch.inference_mode(False):
        with torch.no_grad():
            features = network.features(images)
        with torch.enable_grad():
            features = features.detach().requires_grad_()
            logits = network.classify(features)
            score = logits.gather(1, class_indices[:, None].to(features.device)).sum()
            if contrast_classes:
                score = score - logits[:, list(contrast_classes)].mean(1).sum()
            (gradient,) = torch.autograd.grad(score, features)
    features, gradient = features.detach().float(), gradient.float()
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()
