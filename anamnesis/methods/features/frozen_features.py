"""Frozen features, each with the sums of every class in it.

Two kinds complement each other: random convolutions, which depend on no site, and the encoder with its pretrained
weights, or as it was after the first site. On the development sequences both together predict the class better than
either (docs/methods/ewc_prototype.md).
"""

import copy
from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn

from anamnesis.methods.base import StateDict, part_tensors
from anamnesis.methods.closed_form.closed_form_head import ClosedFormHead
from anamnesis.methods.closed_form.heads import HeadKind
from anamnesis.methods.features.feature_statistics import linear_logits
from anamnesis.networks import Backbone, Classifier, Levels
from anamnesis.networks.fast_inference import FastInference
from anamnesis.networks.memory_layout import to_channels_last
from anamnesis.networks.random_features import GRID, RandomFeatures, average_over_grid

MAXIMUM_FEATURES = 2048
"""Features of an image; their Gram matrix is stored, and its size is the square of this."""


class FrozenFeatureKind(StrEnum):
    """Which frozen features the class prototypes are computed in."""

    RANDOM = "random"
    """Random convolutions."""
    ENCODER = "encoder"
    """The encoder with its pretrained weights; without these, as it was after the first update (Panos et al. 2023,
    "First Session Adaptation")."""
    BOTH = "both"
    """Each with a discriminant of its own; their log-probabilities are averaged."""


class EncoderFeatures(nn.Module):
    """A copy of an encoder, averaged over a grid of cells; it is never trained.

    Attributes:
        grid: cells along each side, fewer for a wide encoder, so that there are at most ``MAXIMUM_FEATURES``.
        width_out: how many features an image has.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        width, dims = network.backbone.width_out, network.backbone.spatial_dims
        self.backbone = copy.deepcopy(network.backbone).requires_grad_(False).eval()
        self._fast_maps = FastInference(Levels(self.backbone))
        self.grid = max((side for side in range(1, GRID + 1) if width * side**dims <= MAXIMUM_FEATURES), default=1)
        self.width_out = width * self.grid**dims

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``width_out``], always in float32."""
        return self.pool(self.feature_maps(images))

    def feature_maps(self, images: Tensor) -> Tensor:
        """Maps [N, C, *sides] in [0, 1] to [N, F, *cells], always in float32, without gradients."""
        return self._fast_maps(images)[0]

    @torch.no_grad()
    def maps_from(self, frozen_maps: Tensor) -> Tensor:
        """Maps the maps [N, ...] of the frozen part, which a later network shares, to [N, F, *cells] in float32."""
        with torch.autocast(frozen_maps.device.type, enabled=False):
            return self.backbone.maps_from(frozen_maps)

    def has_frozen_part_of(self, backbone: Backbone) -> bool:
        """Returns whether there is a frozen part, and it is that of ``backbone``, bit for bit."""
        own, other = self.backbone.frozen_state(), backbone.frozen_state()
        return bool(own) and own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)

    def pool(self, feature_maps: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to [N, ``width_out``]."""
        return average_over_grid(feature_maps, self.grid)


class FrozenFeatures:
    """Frozen features, the sums of every class over them, and the linear discriminant that follows from the sums.

    Attributes:
        name: part of the sums in the state, ``<name>.<site>``; the features are in the part ``<name>_features``.
        closed_form: the sums and the discriminant.
    """

    def __init__(self, name: str, extractor: RandomFeatures | EncoderFeatures, strength: float) -> None:
        self.name, self.extractor = name, extractor
        self.closed_form = ClosedFormHead(name, extractor.width_out, HeadKind.DISCRIMINANT, strength)
        self._device: torch.device | None = None
        self._is_pretrained = False

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes pretrained weights for the encoder: no site's training changes them."""
        if isinstance(self.extractor, EncoderFeatures):
            self.extractor.backbone.load_state_dict(tensors)
            self._is_pretrained = True

    def copy_encoder(self, network: Classifier, site: str) -> None:
        """Copies the encoder of ``network`` if it was not pretrained, and only ``site`` has sums."""
        has_other_sites = bool({*self.closed_form.sums.sites} - {site})
        if isinstance(self.extractor, EncoderFeatures) and not self._is_pretrained and not has_other_sites:
            self.extractor.backbone.load_state_dict(network.backbone.state_dict())

    def feature_maps(self, images: Tensor, backbone: Backbone, frozen_maps: Tensor) -> Tensor:
        """Returns the feature maps [N, F, h, w] of images [N, C, H, W].

        Args:
            images: in [0, 1].
            backbone: of the trained network; its frozen part is not computed again where this encoder has the same.
            frozen_maps: what the frozen part of ``backbone`` gives for the images.
        """
        if self._device != images.device:
            self.to(images.device)
        extractor, is_accurate = self.extractor, not torch.is_autocast_enabled(images.device.type)
        if isinstance(extractor, EncoderFeatures) and is_accurate and extractor.has_frozen_part_of(backbone):
            return extractor.maps_from(frozen_maps)
        return extractor.feature_maps(images)

    def features_of(self, images: Tensor, backbone: Backbone) -> Tensor:
        """Returns the features [N, D] of images [N, C, H, W]; see ``feature_maps`` for ``backbone``."""
        frozen_maps = backbone.frozen_maps(images) if isinstance(self.extractor, EncoderFeatures) else images
        return self.extractor.pool(self.feature_maps(images, backbone, frozen_maps))

    def log_probs(self, feature_maps: Tensor) -> Tensor:
        """Returns log p(class | x), [N, K], with equal priors; minus infinity for a class without images."""
        return linear_logits(self.extractor.pool(feature_maps), self.closed_form.weights).log_softmax(1)

    def to(self, device: torch.device) -> None:
        """Moves features and sums."""
        to_channels_last(self.extractor.to(device=device))
        self.closed_form.to(device)
        self._device = device

    def state_dict(self) -> StateDict:
        """Returns the sums, and the features that they were computed with."""
        features: StateDict = {
            f"{self.name}_features/{name}": value for name, value in self.extractor.state_dict().items()
        }
        return self.closed_form.state_dict() | features

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them; a state without them leaves no class."""
        self.closed_form.load_state_dict(state, device)
        if stored_features := part_tensors(state, f"{self.name}_features"):
            self.extractor.load_state_dict(stored_features)
        self.to(device)


def build_frozen_features(
    kind: FrozenFeatureKind, network: Classifier, channels: int, seed: int, *, strength: float
) -> tuple[FrozenFeatures, ...]:
    """Returns the chosen feature spaces.

    Args:
        kind: which.
        network: the encoder to copy the shape of.
        channels: of the images.
        seed: of the random convolutions.
        strength: of the discriminants; 0 chooses it.
    """
    random_features = RandomFeatures(channels, seed, spatial_dims=network.backbone.spatial_dims)
    all_features = (
        FrozenFeatures("random_space", random_features, strength),
        FrozenFeatures("encoder_space", EncoderFeatures(network), strength),
    )
    features_by_kind = {
        FrozenFeatureKind.RANDOM: all_features[:1],
        FrozenFeatureKind.ENCODER: all_features[1:],
        FrozenFeatureKind.BOTH: all_features,
    }
    return features_by_kind[kind]
