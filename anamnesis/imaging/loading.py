"""Reading of headers and images of all formats. Each reader is imported when a file needs it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.formats import Format, detect_format, is_headless_dicom
from anamnesis.imaging.header import Header, PixelSource
from anamnesis.records import Image


def read_headers(path: Path) -> list[Header]:
    """Returns the header of each image of a file; reads no pixels.

    Raises:
        ReadError: the file is unusable.
    """
    file_format = _detect_known_format(path)
    if file_format is Format.DICOM:
        from anamnesis.imaging import dicom

        return [dicom.read_header(path)]
    if file_format is Format.NPZ:
        from anamnesis.imaging import npz

        return npz.read_headers(path)
    return [Header()]


def load_image(pixel_source: PixelSource, modality: str | None = None) -> Image:
    """Returns the pixels of one image.

    Args:
        pixel_source: place of the pixels.
        modality: DICOM code, or empty where unknown; with it, contrast and unit are checked too.

    Raises:
        ReadError: the pixels are unreadable; or, with a modality, constant, saturated or in another unit.
    """
    image = _load_pixels(pixel_source)
    if modality is not None:
        from anamnesis.imaging.contrast import check_contrast

        check_contrast(image, modality, _detect_known_format(pixel_source.paths[0]))
    return image


def load_slice(path: Path) -> Image:
    """Returns one slice of a series on its own; unlike ``load_image``, it may look like a scout.

    Raises:
        ReadError: the pixels are unreadable.
    """
    if _detect_known_format(path) is Format.DICOM:
        from anamnesis.imaging import dicom

        return dicom.load_slice(path)
    return _load_pixels(PixelSource((path,)))


def load_mask(mask_source: PixelSource, image_source: PixelSource) -> Image:
    """Returns the mask of an image; it may be constant.

    A mask without an orientation of its own, a PNG for example, is turned as its DICOM slice is.

    Raises:
        ReadError: the pixels are unreadable, or the orientation of the mask is not known.
    """
    mask = _load_pixels(mask_source)
    if mask.affine or mask_source.member:
        return mask
    image_format = _detect_known_format(image_source.paths[0])
    if image_format is Format.NIFTI or len(image_source.paths) > 1:
        raise ReadError(
            ReadErrorReason.NO_ORIENTATION,
            "the mask has no orientation in the patient, but its image has; export the mask as NIfTI",
        )
    if image_format is Format.DICOM:
        from anamnesis.imaging import dicom
        from anamnesis.imaging.orientation import turn

        turns = dicom.read_turns(image_source.paths[0])
        return mask if turns is None else turn(mask, turns)
    return mask


def _load_pixels(pixel_source: PixelSource) -> Image:
    file_format = _detect_known_format(pixel_source.paths[0])
    if file_format is Format.NPZ:
        image = next(iter_rows(pixel_source.paths[0], pixel_source.member, (pixel_source.row,)))
        if isinstance(image, ReadError):
            raise image
        return image
    if file_format is Format.DICOM:
        from anamnesis.imaging import dicom

        return dicom.load_image(pixel_source.paths)
    if file_format is Format.NIFTI:
        from anamnesis.imaging import nifti

        return nifti.load_image(pixel_source.paths[0])
    from anamnesis.imaging import raster

    return raster.load_image(pixel_source.paths[0])


def iter_rows(path: Path, member: str, row_numbers: Iterable[int]) -> Iterator[Image | ReadError]:
    """Yields images of an array of an NPZ; see ``anamnesis.imaging.npz.iter_rows``."""
    from anamnesis.imaging import npz

    return npz.iter_rows(path, member, row_numbers)


def _detect_known_format(path: Path) -> Format:
    file_format = detect_format(path)
    if file_format is None:
        if path.stat().st_size == 0:
            raise ReadError(ReadErrorReason.EMPTY_FILE)
        raise ReadError(ReadErrorReason.NO_FILE_HEADER if is_headless_dicom(path) else ReadErrorReason.UNKNOWN_FORMAT)
    return file_format
