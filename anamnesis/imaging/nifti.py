"""Reader of NIfTI-1 and NIfTI-2 in one file, plain or gzipped."""

import gzip
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel import orientations as _orientations
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors
from anamnesis.imaging.pixels import check_size, to_image
from anamnesis.records import Image

orientations: Any = _orientations  # nibabel has types for some of its functions only
_LPS = orientations.axcodes2ornt("LPS")  # increasing index: to the left, to the back, upwards


def load_image(path: Path) -> Image:
    """Returns a slice ``YX`` or a volume ``ZYX`` in DICOM orientation: x to the patient's left, y to the back, z up.

    Axes of length one are dropped. Scaling by slope and intercept is applied.

    Raises:
        ReadError: the file is unreadable, or has a time axis or colours.
    """
    with translate_read_errors(), _open_stream(path) as stream:
        kind: Any = Nifti1Image if _is_nifti1(stream) else Nifti2Image
        image = kind.from_stream(stream)
        if image.get_data_dtype().fields:
            raise ReadError(
                ReadErrorReason.UNSUPPORTED_COLOURS, "the voxels are RGB colours; export them as single numbers"
            )
        if sum(length != 1 for length in image.shape) > 3 or any(length != 1 for length in image.shape[3:]):
            raise ReadError(
                ReadErrorReason.MULTI_FRAME,
                f"expected one slice or volume, found the shape {image.shape}; export one file for each volume",
            )
        check_size(image.shape, max(image.get_data_dtype().itemsize, 4))
        return _reorient(image)


def _open_stream(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path) if gzipped else path.open("rb"))


def _is_nifti1(stream: BinaryIO) -> bool:
    head = stream.read(8)
    stream.seek(0)
    return head[4:8] != b"n+2\0"


def _reorient(image: Any) -> Image:
    pixels = np.asanyarray(image.dataobj)
    pixels = pixels.reshape(pixels.shape[:3] + (1,) * (3 - pixels.ndim))
    reorientation = orientations.ornt_transform(orientations.io_orientation(image.affine), _LPS)
    pixels = orientations.apply_orientation(pixels, reorientation).transpose(2, 1, 0)
    zooms = [float(step) for step in image.header.get_zooms()[:3]] + [1.0] * (3 - image.ndim)
    spacing = [zooms[axis] for axis in np.argsort(reorientation[:, 0])][::-1]
    spatial_axes = [axis for axis in range(3) if pixels.shape[axis] > 1]
    if len(spatial_axes) < 2:
        raise ReadError(
            ReadErrorReason.NO_PIXELS,
            f"expected a slice or a volume, found the shape {image.shape}; export the image again",
        )
    return to_image(
        np.squeeze(pixels), tuple(spacing[axis] for axis in spatial_axes), "ZYX" if len(spatial_axes) == 3 else "YX"
    )
