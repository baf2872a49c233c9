"""The patient orientation of stored images.

A volume ``ZYX`` is stored from feet to head, front to back, right to left. A slice ``YX`` is stored as radiologists see
it: axial from front to back and right to left, coronal and sagittal from head to feet. An oblique image keeps its own
grid, along the closest of these axes. Two files of one scan so have equal arrays.
"""

from typing import Any

import numpy as np
from nibabel import orientations as _orientations
from numpy.typing import NDArray

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.pixels import Pixels, to_image
from anamnesis.records import Image

orientations: Any = _orientations  # nibabel has types for some of its functions only
Affine = NDArray[np.float64]

# For each array axis: the patient axis (0 left, 1 back, 2 head) and its direction.
_VOLUME = ((2, 1), (1, 1), (0, 1))
_SLICES = {
    frozenset({0, 1}): ((1, 1), (0, 1)),
    frozenset({0, 2}): ((2, -1), (0, 1)),
    frozenset({1, 2}): ((2, -1), (1, 1)),
}
_HALF_PIXEL = 0.5


def to_patient_orientation(pixels: Pixels, affine: Affine, axes: str, slice_axis: int = 0) -> Image:
    """Returns the image with its axes in the common order and direction, and its affine.

    Args:
        pixels: in the order of ``axes``.
        affine: [4, spatial axes + 1]; maps an index in the order of ``axes``, then 1, to the patient's left, back and
            head in millimetres.
        axes: ``YX``, ``YXC`` or ``ZYX``.
        slice_axis: axis across the slices as they were acquired, of a volume.

    Raises:
        ReadError: the affine is not usable.
    """
    turns = find_turns(affine)
    count = len(axes.removesuffix("C"))
    turned_affine = affine @ orientations.inv_ornt_aff(turns, pixels.shape[:count])
    return to_image(
        orientations.apply_orientation(pixels, turns),
        tuple(np.linalg.norm(turned_affine[:3, :count], axis=0).tolist()),
        axes,
        affine=turned_affine[:3],
        slice_axis=int(turns[slice_axis, 0]) if axes == "ZYX" else 0,
    )


def find_turns(affine: Affine) -> NDArray[np.float64]:
    """Returns, for each array axis, its place in the common order, and -1 where its direction changes.

    Raises:
        ReadError: the affine is not usable.
    """
    check_affine(affine)
    closest_axes = orientations.io_orientation(affine)
    if affine.shape[1] == 4:
        target: Any = _VOLUME
    else:
        target = _SLICES[frozenset(int(axis) for axis in closest_axes[:, 0])]
    turns: NDArray[np.float64] = orientations.ornt_transform(closest_axes, np.array(target, float))
    return turns


def turn(image: Image, turns: NDArray[np.float64]) -> Image:
    """Returns an image without an orientation of its own, turned as another image was."""
    count = len(image.axes.removesuffix("C"))
    spacing = [image.spacing[axis] for axis in np.argsort(turns[:count, 0])]
    return to_image(orientations.apply_orientation(image.pixels, turns), tuple(spacing), image.axes)


def check_affine(affine: Affine) -> None:
    """Refuses an affine that is not finite, or whose axes have no length or no direction of their own.

    Raises:
        ReadError: the affine is not usable.
    """
    columns = affine[:3, :-1]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all() or (lengths <= 0).any():
        raise ReadError(
            ReadErrorReason.UNUSABLE_SPACING,
            f"expected a positive number of millimetres along each axis, found {lengths.tolist()}; "
            "export the image again",
        )
    cosines = (columns / lengths).T @ (columns / lengths)
    if np.abs(cosines - np.eye(len(lengths))).max() > 0.9:
        raise ReadError(ReadErrorReason.NO_ORIENTATION, "two axes have the same direction; export the image again")


def is_sheared(affine: Affine, shape: tuple[int, ...]) -> bool:
    """Returns whether the axes are so far from right angles that a voxel is more than half a voxel from its place."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / lengths
    cosines = np.abs(directions.T @ directions) - np.eye(3)
    extents = lengths * (np.array(shape) - 1)
    return bool((cosines * extents > _HALF_PIXEL * lengths[:, None]).any())
