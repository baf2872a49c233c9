"""Reader of NIfTI-1 and NIfTI-2 in one file, plain or gzipped."""

import gzip
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors
from anamnesis.imaging.orientation import Affine, check_affine, is_sheared, orientations, to_patient_orientation
from anamnesis.imaging.pixels import Pixels, check_size
from anamnesis.records import Image

_TO_DICOM = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI counts to the right and to the front
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
_SCANNER = 1  # code of scanner coordinates; higher codes are coordinates of an atlas or of another scan
_SAME_SPACING = 0.01


def load_image(path: Path) -> Image:
    """Returns a slice ``YX`` or a volume ``ZYX`` in patient orientation.

    Axes of length one are dropped. Scaling by slope and intercept is applied. The file is read to its end, which
    compares the checksum of a gzipped file.

    Raises:
        ReadError: the file is damaged, has a time axis or colours, or does not state its orientation.
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
        pixels = np.asanyarray(image.dataobj)
        _check_end(image, stream)
        return _orient(image, pixels.reshape(pixels.shape[:3] + (1,) * (3 - pixels.ndim)))


def _open_stream(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path) if gzipped else path.open("rb"))


def _is_nifti1(stream: BinaryIO) -> bool:
    head = stream.read(8)
    stream.seek(0)
    return head[4:8] != b"n+2\0"


def _check_end(image: Any, stream: BinaryIO) -> None:
    """Reads to the end of the file: the last read compares the checksum of a gzipped file."""
    voxel_bytes = int(np.prod(image.shape, dtype=object)) * image.get_data_dtype().itemsize
    stream.seek(int(image.dataobj.offset) + voxel_bytes)
    if stream.read(1):
        raise ReadError(
            ReadErrorReason.UNREADABLE,
            f"the file has more bytes than the shape {image.shape} of its header needs; export the image again",
        )


def _orient(image: Any, pixels: Pixels) -> Image:
    spatial_axes = [axis for axis in range(3) if pixels.shape[axis] > 1]
    if len(spatial_axes) < 2:
        raise ReadError(
            ReadErrorReason.NO_PIXELS,
            f"expected a slice or a volume, found the shape {image.shape}; export the image again",
        )
    affine = _TO_DICOM @ _read_affine(image, pixels.shape)
    slice_axis = spatial_axes.index(_find_slice_axis(image, affine)) if len(spatial_axes) == 3 else 0
    columns = [*reversed(spatial_axes), 3]
    return to_patient_orientation(
        np.squeeze(pixels).transpose(),
        affine[:, columns],
        "ZYX" if len(spatial_axes) == 3 else "YX",
        slice_axis=len(spatial_axes) - 1 - slice_axis,
    )


def _read_affine(image: Any, shape: tuple[int, ...]) -> Affine:
    """Returns the affine to the scanner's coordinates where the file has one; else the sform, else the qform."""
    header = image.header
    forms = [(int(code), affine) for affine, code in (header.get_sform(coded=True), header.get_qform(coded=True))]
    stated_affines = [np.array(affine, float) for code, affine in sorted(forms, key=_form_order) if code > 0]
    if not stated_affines:
        raise ReadError(
            ReadErrorReason.NO_ORIENTATION,
            "sform_code and qform_code are 0; save the image again with the orientation of the scanner",
        )
    for affine in stated_affines:
        check_affine(affine)
        affine[:3] *= _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    first_axes, *other_axes = (orientations.aff2axcodes(affine) for affine in stated_affines)
    if any(axes != first_axes for axes in other_axes):
        raise ReadError(
            ReadErrorReason.NO_ORIENTATION,
            f"sform and qform contradict each other: {first_axes} and {other_axes[0]}; save the image with one of them",
        )
    for affine in stated_affines:
        if not is_sheared(affine, shape):
            return affine
    raise ReadError(
        ReadErrorReason.GANTRY_TILT,
        "the axes of the affine are not at right angles; save the image resampled to a right-angled grid",
    )


def _form_order(form: tuple[int, Affine]) -> int:
    return 0 if form[0] == _SCANNER else 1


def _find_slice_axis(image: Any, affine: Affine) -> int:
    """Returns the axis across the slices: the header's, else the one with another spacing, else the third.

    Pixels of a slice are square, so the spacing of the other two axes is equal.
    """
    stated_axis = image.header.get_dim_info()[2]
    if stated_axis is not None:
        return int(stated_axis)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    for axis in range(3):
        first, second = np.delete(lengths, axis)
        if abs(first - second) < _SAME_SPACING * first and abs(lengths[axis] - first) > _SAME_SPACING * first:
            return axis
    return 2
