"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped."""

import gzip
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel import orientations as _orientations
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image

from anamnesis.imaging.errors import ReadError, Reason, reading
from anamnesis.imaging.pixels import as_image, check_size
from anamnesis.records import Image

orientations: Any = _orientations  # nibabel has types for some of its functions only
_LPS = orientations.axcodes2ornt("LPS")  # increasing index: to the left, to the back, upwards


def load(path: Path) -> Image:
    """Returns a slice ``YX`` or a volume ``ZYX``, oriented as DICOM does: x to the patient's left, y to the back, z up.

    Axes of length one are dropped. Scaling by slope and intercept is applied.

    Raises:
        ReadError: the file cannot be read, or has a time axis or colours.
    """
    with reading(), _opened(path) as stream:
        kind: Any = Nifti1Image if _is_first_version(stream) else Nifti2Image
        image = kind.from_stream(stream)
        if image.get_data_dtype().fields:
            raise ReadError(Reason.COLOURS, "RGB NIfTI")
        if sum(length != 1 for length in image.shape) > 3 or any(length != 1 for length in image.shape[3:]):
            raise ReadError(Reason.MULTI_FRAME, f"shape {image.shape}")
        check_size(image.shape, max(image.get_data_dtype().itemsize, 4))
        return _oriented(image)


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path) if gzipped else path.open("rb"))


def _is_first_version(stream: BinaryIO) -> bool:
    head = stream.read(8)
    stream.seek(0)
    return head[4:8] != b"n+2\0"


def _oriented(image: Any) -> Image:
    pixels = np.asanyarray(image.dataobj)
    pixels = pixels.reshape(pixels.shape[:3] + (1,) * (3 - pixels.ndim))
    turn = orientations.ornt_transform(orientations.io_orientation(image.affine), _LPS)
    pixels = orientations.apply_orientation(pixels, turn).transpose(2, 1, 0)
    zooms = [float(step) for step in image.header.get_zooms()[:3]] + [1.0] * (3 - image.ndim)
    steps = [zooms[axis] for axis in np.argsort(turn[:, 0])][::-1]
    long = [axis for axis in range(3) if pixels.shape[axis] > 1]
    if len(long) < 2:
        raise ReadError(Reason.NO_PIXELS, f"shape {image.shape} is neither a slice nor a volume")
    return as_image(np.squeeze(pixels), tuple(steps[axis] for axis in long), "ZYX" if len(long) == 3 else "YX")
