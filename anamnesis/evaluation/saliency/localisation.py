"""Whether a map agrees with a person's outline of the finding; maps are first resized to the mask."""

from torch import Tensor

from anamnesis.evaluation.saliency.resizing import resize_maps


def energy_in_mask(maps: Tensor, masks: Tensor) -> Tensor:
    """Returns [N]: the share of each map's sum inside its mask; 0 for a map that is zero everywhere.

    A uniform map has the share of the image that the mask covers. Source: Wang et al. (Score-CAM), CVPR Workshops
    2020, the "energy-based pointing game".

    Args:
        maps: [N, ...], zero or more, with one to three spatial axes.
        masks: [N, ...], bool, with as many; true inside the finding.
    """
    resized_maps = _resize_to_masks(maps, masks)
    inside = (resized_maps * masks).flatten(1).sum(1)
    return inside / resized_maps.flatten(1).sum(1).clamp(min=1e-12)


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Returns [N], bool: whether the map's highest pixel is inside the mask; false for a map of zeros.

    Source: Zhang et al., Int. J. Comput. Vis. 126 (2018) 1084, without their tolerance of 15 pixels.

    Args:
        maps: [N, ...], zero or more, with one to three spatial axes.
        masks: [N, ...], bool, with as many.
    """
    resized_maps = _resize_to_masks(maps, masks).flatten(1)
    peak_index = resized_maps.argmax(1, keepdim=True)
    return masks.flatten(1).bool().gather(1, peak_index)[:, 0] & (resized_maps > 0).any(1)


def _resize_to_masks(maps: Tensor, masks: Tensor) -> Tensor:
    return resize_maps(maps.float(), masks.shape[1:])
