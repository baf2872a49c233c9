"""Slices of one series to one volume."""

from dataclasses import dataclass

import numpy as np

from anamnesis.imaging.errors import ReadError, Reason
from anamnesis.imaging.pixels import Pixels, as_image, check_size
from anamnesis.records import Image

_UNEVEN = 0.1


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice with its place.

    Attributes:
        pixels: [Y, X].
        spacing: millimetres between rows and between columns.
        position: ``ImagePositionPatient``, millimetres.
        orientation: ``ImageOrientationPatient``: direction cosines of a row and of a column.
        number: ``InstanceNumber``.
        thickness: millimetres, used where there are no positions.
    """

    pixels: Pixels
    spacing: tuple[float, ...]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    number: int
    thickness: float


def stack(slices: list[Slice]) -> Image:
    """Returns the volume ``ZYX``, slices sorted along their normal, or by number where positions are missing.

    Raises:
        ReadError: sizes, orientations or spacings differ, two slices lie at one place, or one seems to be missing.
    """
    first = slices[0]
    if first.pixels.ndim != 2 or any(one.pixels.shape != first.pixels.shape for one in slices):
        raise ReadError(Reason.SLICES, "sizes differ")
    if any(not np.allclose(one.spacing, first.spacing, atol=1e-3) for one in slices):
        raise ReadError(Reason.SLICES, "spacings differ")
    check_size((len(slices), *first.pixels.shape), first.pixels.dtype.itemsize)
    places, between = _along_normal(slices) or _by_number(slices)
    order = np.argsort(places)
    pixels = [slices[index].pixels for index in order]
    # One type for all slices: a scanner may choose another rescale for each (PET does).
    common = np.float32 if any(p.dtype.kind == "f" for p in pixels) else np.result_type(*pixels)
    return as_image(np.stack([p.astype(common) for p in pixels]), (between, *first.spacing), "ZYX")


def _along_normal(slices: list[Slice]) -> tuple[list[float], float] | None:
    if any(one.position is None or one.orientation is None for one in slices):
        return None
    axes = np.array([one.orientation for one in slices])
    if not np.allclose(axes, axes[0], atol=1e-3):
        raise ReadError(Reason.SLICES, "orientations differ")
    normal = np.cross(axes[0, :3], axes[0, 3:])
    places = np.array([one.position for one in slices]) @ normal
    gaps = np.diff(np.sort(places))
    between = float(np.median(gaps))
    if gaps.min() < 1e-3:
        raise ReadError(Reason.SLICES, "two slices lie at one place")
    if np.abs(gaps - between).max() > _UNEVEN * between:
        raise ReadError(Reason.SLICES, f"gaps from {gaps.min():.3f} to {gaps.max():.3f} mm: is a slice missing?")
    return places.tolist(), between


def _by_number(slices: list[Slice]) -> tuple[list[float], float]:
    numbers = [float(one.number) for one in slices]
    if len(set(numbers)) != len(numbers):
        raise ReadError(Reason.SLICES, "neither position nor instance number tells their order")
    return numbers, slices[0].thickness
