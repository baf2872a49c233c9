"""Stacking of the slices of a series to a volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.orientation import Affine, to_patient_orientation
from anamnesis.imaging.pixels import Pixels, check_size, to_image
from anamnesis.records import Image

_GAP_TOLERANCE = 0.1
_SAME_POSITION = 1e-3
_LARGEST_GAP = 30.0  # millimetres; slices further apart are scouts, or the series is incomplete
_HALF_PIXEL = 0.5


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice with its position.

    Attributes:
        pixels: [Y, X], or [Y, X, C].
        spacing: millimetres between rows and between columns; none where unknown.
        position: ``ImagePositionPatient``, millimetres.
        orientation: ``ImageOrientationPatient``: direction cosines of a row and of a column.
        tilt: ``GantryDetectorTilt``, degrees.
        kind: values that all slices of a volume share: modality, unit and frame of reference.
    """

    pixels: Pixels
    spacing: tuple[float, ...] | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    tilt: float = 0.0
    kind: tuple[str, ...] = ()


def place_slice(image_slice: Slice) -> Image:
    """Returns one slice in patient orientation; as it is stored where its orientation is unknown."""
    pixels, spacing = image_slice.pixels, image_slice.spacing
    axes = "YX" if pixels.ndim == 2 else "YXC"
    affine = slice_affine(image_slice.position, image_slice.orientation, spacing)
    if affine is None:
        return to_image(pixels, spacing or (1.0, 1.0), axes)
    return to_patient_orientation(pixels, affine, axes)


def slice_affine(
    position: tuple[float, ...] | None, orientation: tuple[float, ...] | None, spacing: tuple[float, ...] | None
) -> Affine | None:
    """Returns the affine [4, 3] of a slice, or none where a value is missing."""
    if position is None or orientation is None or spacing is None:
        return None
    affine = np.zeros((4, 3))
    affine[:3, 0] = np.array(orientation[3:]) * spacing[0]
    affine[:3, 1] = np.array(orientation[:3]) * spacing[1]
    affine[:3, 2] = position
    affine[3, 2] = 1
    return affine


def stack_slices(slices: list[Slice]) -> Image:
    """Returns the volume ``ZYX`` in patient orientation. Copies of a slice count once.

    Raises:
        ReadError: sizes, orientations or spacings differ, a position is missing or has several images, the series has a
            gantry tilt, or a slice seems to be missing.
    """
    _check_equal_slices(slices)
    affine = slice_affine(slices[0].position, slices[0].orientation, slices[0].spacing)
    if affine is None or any(image_slice.position is None for image_slice in slices):
        raise ReadError(
            ReadErrorReason.NO_POSITIONS,
            "expected ImagePositionPatient (0020,0032), ImageOrientationPatient (0020,0037) and PixelSpacing "
            "(0028,0030) in each slice; export the series again",
        )
    positions = np.array([image_slice.position for image_slice in slices])
    normal = np.cross(affine[:3, 1], affine[:3, 0])
    depths = positions @ (normal / np.linalg.norm(normal))
    order = _drop_copies(slices, np.argsort(depths, kind="stable"), depths)
    if len(order) == 1:
        return place_slice(slices[order[0]])
    _check_gaps(np.diff(depths[order]))
    _check_tilt(slices, positions[order], depths[order], normal / np.linalg.norm(normal))
    check_size((len(order), *slices[0].pixels.shape), slices[0].pixels.dtype.itemsize)
    step = (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)
    volume_affine = np.column_stack([np.append(step, 0), affine])
    volume_affine[:3, 3] = positions[order[0]]
    return to_patient_orientation(_stack_pixels([slices[index].pixels for index in order]), volume_affine, "ZYX")


def _stack_pixels(pixels: list[Pixels]) -> Pixels:
    # One type for all slices, because a scanner may choose a rescale for each slice (PET scanners do).
    dtype = np.float32 if any(slice_pixels.dtype.kind == "f" for slice_pixels in pixels) else np.result_type(*pixels)
    return np.stack([slice_pixels.astype(dtype) for slice_pixels in pixels])


def _check_equal_slices(slices: list[Slice]) -> None:
    first_slice = slices[0]
    differences = {
        "size": any(item.pixels.shape != first_slice.pixels.shape for item in slices) or first_slice.pixels.ndim != 2,
        "pixel spacing": any(not _is_close(item.spacing, first_slice.spacing) for item in slices),
        "orientation": any(not _is_close(item.orientation, first_slice.orientation) for item in slices),
        "modality, unit or frame of reference": any(item.kind != first_slice.kind for item in slices),
    }
    if differing_names := [name for name, differs in differences.items() if differs]:
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES,
            f"the slices differ in {', '.join(differing_names)}; export one series for each",
        )


def _is_close(first: tuple[float, ...] | None, second: tuple[float, ...] | None) -> bool:
    if first is None or second is None:
        return first is second
    return bool(np.allclose(first, second, atol=1e-3))


def _drop_copies(slices: list[Slice], order: NDArray[np.intp], depths: NDArray[np.float64]) -> list[int]:
    kept_indices: list[int] = []
    for index in order.tolist():
        if not kept_indices or depths[index] - depths[kept_indices[-1]] > _SAME_POSITION:
            kept_indices.append(index)
        elif not np.array_equal(slices[index].pixels, slices[kept_indices[-1]].pixels):
            raise ReadError(
                ReadErrorReason.SEVERAL_IMAGES_AT_ONE_POSITION,
                "two slices have the same position and different pixels; export one series for each time point, "
                "phase or echo",
            )
    return kept_indices


def _check_gaps(gaps: NDArray[np.float64]) -> None:
    gap = float(np.median(gaps))
    if np.abs(gaps - gap).max() > _GAP_TOLERANCE * gap or gap > _LARGEST_GAP:
        raise ReadError(
            ReadErrorReason.INCONSISTENT_SLICES,
            f"gaps from {gaps.min():.3f} to {gaps.max():.3f} mm: a slice may be missing, or these are scouts; "
            "send the complete series again",
        )


def _check_tilt(
    slices: list[Slice], positions: NDArray[np.float64], depths: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """Refuses slices that do not follow each other along their normal: the grid of voxels has other angles."""
    shifts = positions - positions[0] - np.outer(depths - depths[0], normal)
    stated_tilt = max(abs(image_slice.tilt) for image_slice in slices)
    shift = max(
        float(np.linalg.norm(shifts, axis=1).max()), float(np.tan(np.radians(stated_tilt)) * (depths[-1] - depths[0]))
    )
    if shift > _HALF_PIXEL * min(slices[0].spacing or (1.0,)):
        raise ReadError(
            ReadErrorReason.GANTRY_TILT,
            f"the slices are shifted by up to {shift:.2f} mm against their normal (GantryDetectorTilt (0018,1120): "
            f"{stated_tilt:g} degrees); export the series reformatted to a right-angled grid",
        )
