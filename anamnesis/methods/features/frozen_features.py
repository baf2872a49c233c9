"""Spaces of features that never move, each with the sums of every class in it.

Two kinds complement each other: random convolutions, which know no site, and the encoder as the first site left it. On
the development sequence both together name the class better than either (docs/methods/ewc_prototype.md).
"""

import copy
from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn

from anamnesis.methods.base import State, part_of
from anamnesis.methods.features.feature_statistics import Ridge, answer
from anamnesis.networks import Classifier
from anamnesis.networks.random_features import GRID, RandomFeatures, cells

MOST = 2048
"""Features of an image; their Gram matrix is stored, and its size is the square of this."""


class Frozen(StrEnum):
    """Which frozen features answer."""

    RANDOM = "random"
    """Random convolutions."""
    FIRST_SITE = "first_site"
    """The encoder as it was after the first update (Panos et al. 2023, "First Session Adaptation")."""
    BOTH = "both"
    """Each with a discriminant of its own; their log-probabilities are added."""


class EncoderFeatures(nn.Module):
    """A copy of an encoder, averaged over a grid of cells; it never learns.

    Attributes:
        grid: cells along each side, fewer where the encoder is so wide that there were more than ``MOST`` features.
        width_out: how many features an image has.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        width = network.backbone.width_out
        self.backbone = copy.deepcopy(network.backbone).requires_grad_(False).eval()
        self.grid = max((side for side in range(1, GRID + 1) if width * side**2 <= MOST), default=1)
        self.width_out = width * self.grid**2

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``width_out``], always in float32."""
        with torch.autocast(images.device.type, enabled=False):
            return cells(self.backbone(images.float()), self.grid)


class Space:
    """Frozen features, the sums of every class over them, and the linear discriminant that follows from the sums.

    Attributes:
        name: of the sums in the state; the features are in ``name_features``.
        strength: added to the diagonal of the scatter within classes.
    """

    def __init__(self, name: str, features: RandomFeatures | EncoderFeatures, strength: float) -> None:
        self.name, self.features, self.strength = name, features, strength
        self.ridge, self._weights = Ridge(features.width_out), torch.zeros(0)

    def follow(self, network: Classifier) -> None:
        """Takes the encoder of ``network`` before the first image, where the features are an encoder's."""
        if isinstance(self.features, EncoderFeatures) and not self.ridge.gram[-1, -1]:
            self.features.backbone.load_state_dict(network.backbone.state_dict())

    def add(self, images: Tensor, targets: Tensor) -> None:
        """Adds images [N, C, H, W] of the classes ``targets`` [N] to the sums."""
        self.ridge.add(self.features(images), targets)
        self._weights = torch.zeros(0)

    def log_chances(self, images: Tensor) -> Tensor:
        """Returns log p(class | x), [N, K], with equal priors; a class without images has none."""
        self.to(images.device)
        if not len(self._weights):
            self._weights = self.ridge.discriminant(self.strength)
        unseen = self.ridge.sums[:, -1] == 0
        return answer(self.features(images), self._weights).masked_fill(unseen, -torch.inf).log_softmax(1)

    def to(self, device: torch.device) -> None:
        """Moves features and sums."""
        self.features.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
        self.ridge.to(device)

    def state_dict(self) -> State:
        """The sums, and the features that they are of: no other will do."""
        sums: State = {f"{self.name}/{name}": value for name, value in self.ridge.state_dict().items()}
        return sums | {f"{self.name}_features/{name}": value for name, value in self.features.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back; without, there is no class."""
        self.ridge, self._weights = Ridge(self.features.width_out), torch.zeros(0)
        if found := part_of(state, self.name):
            self.features.load_state_dict(part_of(state, f"{self.name}_features"))
            self.ridge.load_state_dict(found)
        self.to(device)


def spaces(
    frozen: Frozen, network: Classifier, channels: int, seed: int, random: float, first_site: float
) -> tuple[Space, ...]:
    """Returns the chosen spaces; ``random`` and ``first_site`` are what their discriminants are shrunk by."""
    both = (
        Space("random_space", RandomFeatures(channels, seed), random),
        Space("first_site_space", EncoderFeatures(network), first_site),
    )
    chosen = {Frozen.RANDOM: both[:1], Frozen.FIRST_SITE: both[1:], Frozen.BOTH: both}
    return chosen[frozen]
