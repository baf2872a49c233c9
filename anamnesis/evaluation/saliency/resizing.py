"""Maps at another resolution, for any number of spatial axes."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Returns maps [N, ...] of one to three spatial axes, interpolated linearly to [N, *size]."""
    return functional.interpolate(maps[:, None], tuple(size), mode=_MODES[maps.dim() - 1], align_corners=False)[:, 0]
