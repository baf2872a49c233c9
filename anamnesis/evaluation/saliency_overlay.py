"""A picture of where the model looked, before and after: image, map before, map after, side by side."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image as Picture

Array = npt.NDArray[Any]

GAP = 6
"""Pixels between two panels; they are transparent."""


def before_after(image: Array, before: Array, after: Array, height: int = 192) -> bytes:
    """Returns a PNG of three panels: the image, the image with the map before, and with the map after.

    Heat is each map divided by its own maximum; the line surrounds its most salient fifth, the part that IoU compares.

    Args:
        image: [H, W] or [H, W, 3], any range: drawn from its minimum to its maximum.
        before: [h, w], zero or more.
        after: [h, w], zero or more.
        height: of a panel in pixels; its width keeps the image's proportions.
    """
    grey = _stretched(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
    size = (round(height * image.shape[1] / image.shape[0]), height)
    base = np.stack([_resized(grey[..., channel], size) for channel in range(3)], axis=2).clip(0, 1)
    panels = [base, _heated(base, before), _heated(base, after)]
    sheet = np.zeros((height, 3 * size[0] + 2 * GAP, 4), np.uint8)
    for index, panel in enumerate(panels):
        left = index * (size[0] + GAP)
        sheet[:, left : left + size[0], :3] = (panel * 255).round()
        sheet[:, left : left + size[0], 3] = 255
    out = BytesIO()
    Picture.fromarray(sheet).save(out, "PNG", optimize=True)
    return out.getvalue()


def _heated(base: Array, saliency: Array) -> Array:
    """Returns ``base`` with heat over it and a line around the most salient fifth; unchanged where the map is zero."""
    heat = _resized(saliency, (base.shape[1], base.shape[0])).clip(0)
    if not heat.max() > 0:
        return base
    heat = heat / heat.max()
    colour, strength = colormaps["inferno"](0.25 + 0.75 * heat)[..., :3], 0.75 * heat[..., None] ** 0.8
    blended = base * (1 - strength) + colour * strength
    blended[_outline((heat >= np.quantile(heat, 0.8)) & (heat > 0))] = (0.35, 1.0, 0.9)
    return np.asarray(blended)


def _outline(mask: Array) -> Array:
    """Returns the pixels of ``mask`` with a neighbour outside it; the picture's edge is not outside."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _stretched(image: Array) -> Array:
    values = image.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _resized(values: Array, size: tuple[int, int]) -> Array:
    picture = Picture.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize(size, Picture.Resampling.BICUBIC))
