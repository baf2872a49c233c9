"""Reads medical images from local files: DICOM, NIfTI, PNG, JPEG and NPZ; knows nothing about learning."""

from anamnesis.imaging.errors import ReadError, Reason
from anamnesis.imaging.formats import Format, is_image_file, sniff
from anamnesis.imaging.header import Header, Piece, RawImage
from anamnesis.imaging.loading import inspect, load, read, rows

__all__ = [
    "Format",
    "Header",
    "Piece",
    "RawImage",
    "ReadError",
    "Reason",
    "inspect",
    "is_image_file",
    "load",
    "read",
    "rows",
    "sniff",
]
