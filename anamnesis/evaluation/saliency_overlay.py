"""A picture of saliency maps: the image, alone and with each map, in one row."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image as Picture

Array = npt.NDArray[Any]

GAP = 6
"""Pixels between two panels; they are transparent."""


def draw_maps(image: Array, maps: Sequence[Array], height: int = 192) -> bytes:
    """Returns a PNG of panels in one row: the image, then the image with each map.

    Heat is each map divided by its own maximum. The line surrounds its most salient fifth, which IoU compares.

    Args:
        image: [H, W] or [H, W, 3], any range: drawn from its minimum to its maximum.
        maps: each [h, w], zero or more.
        height: of a panel in pixels; its width keeps the image's proportions.
    """
    grey = _stretch_contrast(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
    size = (round(height * image.shape[1] / image.shape[0]), height)
    background = np.stack([_resize(grey[..., channel], size) for channel in range(3)], axis=2).clip(0, 1)
    panels = [background, *(_overlay_heat(background, saliency) for saliency in maps)]
    sheet = np.zeros((height, len(panels) * (size[0] + GAP) - GAP, 4), np.uint8)
    for index, panel in enumerate(panels):
        left_edge = index * (size[0] + GAP)
        sheet[:, left_edge : left_edge + size[0], :3] = (panel * 255).round()
        sheet[:, left_edge : left_edge + size[0], 3] = 255
    buffer = BytesIO()
    Picture.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _overlay_heat(background: Array, saliency: Array) -> Array:
    """Returns ``background`` with heat and a line around the most salient fifth; unchanged for a map of zeros."""
    heat = _resize(saliency, (background.shape[1], background.shape[0])).clip(0)
    if not heat.max() > 0:
        return background
    heat = heat / heat.max()
    colour, opacity = colormaps["inferno"](0.25 + 0.75 * heat)[..., :3], 0.75 * heat[..., None] ** 0.8
    blended = background * (1 - opacity) + colour * opacity
    blended[_outline((heat >= np.quantile(heat, 0.8)) & (heat > 0))] = (0.35, 1.0, 0.9)
    return np.asarray(blended)


def _outline(mask: Array) -> Array:
    """Returns the pixels of ``mask`` with a neighbour outside it; the area beyond the picture does not count."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _stretch_contrast(image: Array) -> Array:
    values = image.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _resize(values: Array, size: tuple[int, int]) -> Array:
    picture = Picture.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize(size, Picture.Resampling.BICUBIC))
