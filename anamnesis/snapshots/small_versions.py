"""Small versions of images, for the search for copies: a copy is recognised although it was re-encoded.

A small version is the image (of a volume: the mean of its middle slices) at ``SIDE`` x ``SIDE`` pixels, with local
normalisation: the difference from the mean of the neighbourhood, divided by its standard deviation. Medical images of
one kind resemble each other in everything that this removes. ``python -m benchmarks near_duplicates`` gives figures.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anamnesis.imaging.pixels import Pixels

Floats = NDArray[Any]

SIDE = 32
POSITIONS = 8
_NOISE = 0.1
_BLOCK = 512
_MIDDLE_PART = 5  # a fifth of a volume on each side of its middle


def small_versions(images: Floats, side: int = SIDE, is_local: bool = True) -> Floats:
    """Returns unit vectors [N, side * side], float16, of grey images of one size [N, H, W].

    The scalar product of two of them is their correlation, whatever brightness and contrast the images have. A constant
    image gives zeros, which resemble nothing.

    Args:
        images: the images.
        side: height and width of the small versions.
        is_local: whether to normalise locally.
    """
    rows, columns = _resize_matrix(images.shape[1], side), _resize_matrix(images.shape[2], side)
    small = _standardise(rows @ images.astype(np.float32) @ columns.T)
    if is_local:
        mean = _mean_matrix(side)
        detail = small - mean @ small @ mean.T
        deviation = np.sqrt(np.maximum(mean @ (detail * detail) @ mean.T, 0))
        small = _standardise(detail / (deviation + _NOISE))
    return np.asarray(small.reshape(len(images), -1) / side, np.float16)


def to_grey_plane(pixels: Pixels, axes: str, slice_axis: int) -> Floats:
    """Returns one image as grey [H, W]: the mean of the colours, or of the middle slices of a volume.

    A volume that was turned over, or lost some slices at an end, has nearly the same mean.
    """
    if axes == "YXC":
        return np.asarray(pixels.mean(-1, dtype=np.float32))
    if axes == "ZYX":
        length = pixels.shape[slice_axis]
        margin = length // _MIDDLE_PART
        middle_slices = np.arange((length - 1) // 2 - margin, length // 2 + margin + 1)
        return np.asarray(pixels.take(middle_slices, slice_axis).mean(slice_axis, dtype=np.float32))
    return pixels.astype(np.float32)


def best_correlations(queries: Floats, references: Floats) -> Floats:
    """Returns the best correlation [N, M] of each query with each reference in eight positions: flips and turns.

    Its sign does not count, so that an inverted copy is found.

    Args:
        queries: small versions [N, D].
        references: small versions [M, D].
    """
    turned = _all_positions(references.astype(np.float32))
    products = np.abs(queries.astype(np.float32) @ turned.T)
    return np.asarray(products.reshape(len(queries), POSITIONS, len(references)).max(1))


def count_alike(queries: Floats, references: Floats, patients: Sequence[str], minimum: float) -> NDArray[np.int64]:
    """Returns, for each query [N], the number of patients with a reference that it correlates with above ``minimum``.

    Args:
        queries: small versions [N, D].
        references: small versions [M, D].
        patients: the patient of each reference, [M].
        minimum: the smallest correlation does not count.
    """
    names, codes = np.unique(np.array(patients), return_inverse=True)
    pairs = [np.zeros(0, np.int64)]
    for start in range(0, len(queries), _BLOCK):
        for first in range(0, len(references), _BLOCK):
            correlations = best_correlations(queries[start : start + _BLOCK], references[first : first + _BLOCK])
            rows, columns = np.nonzero(correlations > minimum)
            pairs.append(np.unique((start + rows) * len(names) + codes[first + columns]))
    return np.bincount(np.unique(np.concatenate(pairs)) // len(names), minlength=len(queries))


def _all_positions(vectors: Floats) -> Floats:
    """Returns the vectors [M, D] in the eight positions of flips and quarter turns, [8 M, D]."""
    side = math.isqrt(vectors.shape[1])
    images = vectors.reshape(-1, side, side)
    positions = [np.rot90(face, turns, (1, 2)) for face in (images, images[:, :, ::-1]) for turns in range(4)]
    return np.concatenate([position.reshape(len(images), -1) for position in positions])


def _standardise(images: Floats) -> Floats:
    """Returns images with mean 0 and standard deviation 1; a constant image becomes 0."""
    centred = images - images.mean((1, 2), keepdims=True)
    deviation = centred.std((1, 2), keepdims=True)
    scale = np.abs(images).max((1, 2), keepdims=True) * 1e-6
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > scale))


@cache
def _resize_matrix(length: int, side: int) -> Floats:
    """Returns weights [side, length] of a triangle filter that covers twice the distance between two pixels."""
    step = length / side
    centres = (np.arange(side) + 0.5) * step
    distances = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(step, 1)
    weights = np.maximum(0, 1 - distances)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


@cache
def _mean_matrix(side: int) -> Floats:
    """Returns weights [side, side] of a mean over the eighth on both sides; the border counts several times."""
    offsets = np.arange(-(side // 8), side // 8 + 1)
    neighbours = np.clip(np.arange(side)[:, None] + offsets, 0, side - 1)
    weights = np.zeros((side, side), np.float32)
    np.add.at(weights, (np.arange(side)[:, None], neighbours), 1 / len(offsets))
    return weights
