"""Patches of volumes: what a network reads where it cannot take a volume whole."""

from dataclasses import dataclass
from enum import StrEnum

from anamnesis.records.errors import InputError


class PatchSampler(StrEnum):
    """How training draws the places of patches."""

    RANDOM = "Random"
    """Uniformly over the volume: MONAI's RandSpatialCropSamples."""
    FOREGROUND_BALANCED = "ForegroundBalanced"
    """Half of the patches around a voxel of the mask's foreground: MONAI's RandCropByPosNegLabel."""


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """Volumes are resized to one size, and the network reads patches of them.

    Attributes:
        volume: depth, height and width of the resized volume, in voxels; the spacing in millimetres is not used.
        sampler: how training draws the places.
        per_volume: patches of each volume in a batch.
    """

    volume: tuple[int, ...]
    sampler: PatchSampler = PatchSampler.RANDOM
    per_volume: int = 2

    def check(self, size: tuple[int, ...]) -> None:
        """Compares the volume with the patches.

        Args:
            size: of a patch.

        Raises:
            InputError: patches of two sides, a volume smaller than a patch, or no patch of a volume.
        """
        if len(size) != 3 or len(self.volume) != 3:
            raise InputError(
                "network.input.patches: expected three sides in network.input.size and patches.volume, found "
                f"{list(size)} and {list(self.volume)}; remove patches for images of two sides"
            )
        if any(side < patch_side for side, patch_side in zip(self.volume, size, strict=True)):
            raise InputError(
                f"network.input.patches.volume: expected sides of at least a patch, {list(size)}, found "
                f"{list(self.volume)}; set larger sides, or smaller ones in network.input.size"
            )
        if self.per_volume < 1:
            raise InputError(f"network.input.patches.perVolume: expected 1 or more, found {self.per_volume}")
