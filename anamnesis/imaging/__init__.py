"""Readers of medical images in local files: DICOM, NIfTI, PNG, JPEG and NPZ. Independent of learning."""

from anamnesis.imaging.errors import FOREIGN_REASONS, ReadError, ReadErrorReason
from anamnesis.imaging.formats import Format, detect_format, is_image_file
from anamnesis.imaging.header import Header, PixelSource
from anamnesis.imaging.loading import iter_rows, load_image, load_mask, load_slice, read_headers

__all__ = [
    "FOREIGN_REASONS",
    "Format",
    "Header",
    "PixelSource",
    "ReadError",
    "ReadErrorReason",
    "detect_format",
    "is_image_file",
    "iter_rows",
    "load_image",
    "load_mask",
    "load_slice",
    "read_headers",
]
