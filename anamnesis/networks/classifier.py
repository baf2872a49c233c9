"""Backbone, global average pooling and a growing head: the class activation map is Grad-CAM in closed form."""

from torch import Tensor, nn

from anamnesis.networks.backbones import build_backbone
from anamnesis.networks.heads import GrowingHead
from anamnesis.records import NetworkSettings


class Classifier(nn.Module):
    """Logits over all classes seen so far."""

    def __init__(self, spec: NetworkSettings, seed: int, classes: int = 0) -> None:
        super().__init__()
        self.backbone = build_backbone(spec, seed)
        self.head = GrowingHead(self.backbone.width_out, classes)

    def features(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] to feature maps [N, F, h, w]."""
        return self.backbone(images)  # type: ignore[no-any-return]

    def classify(self, features: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to logits [N, K], in float32."""
        return self.head(features.float().mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] to logits [N, K]."""
        return self.classify(self.features(images))
