"""Backbone, global average pooling and a growing head: the class activation map is Grad-CAM in closed form."""

import torch
from torch import Tensor, nn

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.build import build_backbone
from anamnesis.networks.freezing import find_learnable
from anamnesis.networks.heads import GrowingHead
from anamnesis.records import NetworkSettings


class Classifier(nn.Module):
    """Logits over all classes seen so far."""

    backbone: Backbone

    def __init__(self, spec: NetworkSettings, seed: int, classes: int = 0) -> None:
        super().__init__()
        self.backbone = build_backbone(spec, seed)
        self.head = GrowingHead(self.backbone.width_out, classes)

    def features(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] to feature maps [N, F, *cells]."""
        return self.backbone(images)  # type: ignore[no-any-return]

    def embed(self, features: Tensor) -> Tensor:
        """Maps feature maps [N, F, *cells] to what the head reads, in float32: their mean [N, F]."""
        return self.backbone.pool(features)

    def classify(self, features: Tensor) -> Tensor:
        """Maps feature maps [N, F, *cells] to logits [N, K], in float32."""
        return self.head(self.embed(features))  # type: ignore[no-any-return]

    @torch.no_grad()
    def load_head(self, weight: Tensor, bias: Tensor) -> None:
        """Replaces the rows of the head by [K, F] weights on the mean of the feature maps, and [K] biases."""
        self.head.weight.copy_(weight)
        self.head.bias.copy_(bias)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] to logits [N, K]."""
        return self.classify(self.features(images))

    def learnable_parameters(self) -> tuple[nn.Parameter, ...]:
        """Returns all parameters but the frozen ones of the backbone."""
        return tuple(find_learnable(self).values())
