"""Stacking of the slices of a series to a volume."""

from dataclasses import dataclass

import numpy as np

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.pixels import Pixels, check_size, to_image
from anamnesis.records import Image

_SPACING_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice with its position.

    Attributes:
        pixels: [Y, X].
        spacing: millimetres between rows and between columns.
        position: ``ImagePositionPatient``, millimetres.
        orientation: ``ImageOrientationPatient``: direction cosines of a row and of a column.
        number: ``InstanceNumber``.
        thickness: millimetres, used when there are no positions.
    """

    pixels: Pixels
    spacing: tuple[float, ...]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    number: int
    thickness: float


def stack_slices(slices: list[Slice]) -> Image:
    """Returns the volume ``ZYX``, with the slices sorted along their normal, or by number when positions are missing.

    Raises:
        ReadError: sizes, orientations or spacings differ, two slices have one position, or a slice seems to be missing.
    """
    first_slice = slices[0]
    if first_slice.pixels.ndim != 2 or any(
        image_slice.pixels.shape != first_slice.pixels.shape for image_slice in slices
    ):
        raise ReadError(ReadErrorReason.INCONSISTENT_SLICES, "the slices differ in size; export the series again")
    if any(not np.allclose(image_slice.spacing, first_slice.spacing, atol=1e-3) for image_slice in slices):
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES, "the slices differ in pixel spacing; export the series again"
        )
    check_size((len(slices), *first_slice.pixels.shape), first_slice.pixels.dtype.itemsize)
    positions, slice_spacing = _positions_along_normal(slices) or _positions_by_number(slices)
    order = np.argsort(positions)
    pixels = [slices[index].pixels for index in order]
    # One type for all slices, because a scanner may choose a rescale for each slice (PET scanners do).
    dtype = np.float32 if any(slice_pixels.dtype.kind == "f" for slice_pixels in pixels) else np.result_type(*pixels)
    return to_image(
        np.stack([slice_pixels.astype(dtype) for slice_pixels in pixels]), (slice_spacing, *first_slice.spacing), "ZYX"
    )


def _positions_along_normal(slices: list[Slice]) -> tuple[list[float], float] | None:
    if any(image_slice.position is None or image_slice.orientation is None for image_slice in slices):
        return None
    axes = np.array([image_slice.orientation for image_slice in slices])
    if not np.allclose(axes, axes[0], atol=1e-3):
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES,
            "the slices differ in orientation; export one series for each orientation",
        )
    normal = np.cross(axes[0, :3], axes[0, 3:])
    positions = np.array([image_slice.position for image_slice in slices]) @ normal
    gaps = np.diff(np.sort(positions))
    slice_spacing = float(np.median(gaps))
    if gaps.min() < 1e-3:
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES, "two slices have the same position; export each slice once"
        )
    if np.abs(gaps - slice_spacing).max() > _SPACING_TOLERANCE * slice_spacing:
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES,
            f"gaps from {gaps.min():.3f} to {gaps.max():.3f} mm: a slice may be missing; "
            "send the complete series again",
        )
    return positions.tolist(), slice_spacing


def _positions_by_number(slices: list[Slice]) -> tuple[list[float], float]:
    numbers = [float(image_slice.number) for image_slice in slices]
    if len(set(numbers)) != len(numbers):
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES,
            "the slices have no position and no unique InstanceNumber (0020,0013); export the series again",
        )
    return numbers, slices[0].thickness
