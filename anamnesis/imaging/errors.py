"""Read errors: a fixed reason that is safe to log, and a detail that may contain the name of a patient."""

import logging
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class ReadErrorReason(StrEnum):
    """The fixed reasons. They contain no file name, no value and no name of a person."""

    EMPTY_FILE = "the file is empty"
    NOT_A_FILE = "the path is not a regular file"
    UNKNOWN_FORMAT = "the file format is not supported"
    NO_FILE_HEADER = "the DICOM file has no preamble and no file meta information"
    UNREADABLE = "the file is damaged or has the wrong format"
    TOO_LARGE = "the image is too large for memory; give the ingest more memory, or export a smaller image"
    COMPRESSED = "compressed DICOM is not supported yet"
    MULTI_FRAME = "several frames in one file are not supported yet"
    MOSAIC = "Siemens mosaics are not supported yet"
    WHOLE_SLIDE = "whole-slide images are not supported yet"
    GANTRY_TILT = "series with a gantry tilt are not supported yet"
    SEVERAL_IMAGES_AT_ONE_POSITION = (
        "several images at one position (time points, phases or echoes of one series) are not supported yet"
    )
    NO_MODALITY = "the DICOM header has no modality"
    NO_PIXELS = "the file has no pixels"
    UNSUPPORTED_COLOURS = "the colour space or lookup table is not supported"
    UNSUPPORTED_CHANNELS = "the channels of the array are not grey, or RGB along the last axis"
    BURNED_IN_ANNOTATIONS = "the header reports annotations that are burned into the pixels"
    NOT_FINITE = "some pixels are not finite numbers"
    INCONSISTENT_SLICES = "the slices of one series are inconsistent"
    NO_POSITIONS = "the slices of one series have no position or orientation in the patient"
    NO_ORIENTATION = "the orientation of the image in the patient is missing, or stated twice and differently"
    UNUSABLE_SPACING = "the distance between pixels or slices is missing or not a positive number"
    UNUSABLE_RESCALE = "the rescale values of the header are empty, incomplete or not usable"
    INCONSISTENT_BITS = "the numbers of bits in the header do not fit each other or the pixels"
    OTHER_UNIT = "the pixel values do not have the unit of the modality (CT: Hounsfield units)"
    NO_CONTRAST = "the image is constant or saturated"
    UNEXPECTED_LAYOUT = "the arrays of the file have an unexpected layout"
    LOCALIZER = "the image is a localizer (scout)"
    SCREEN_CAPTURE = "the image is a screen capture or a colour map, not a measurement of its modality"
    STRUCTURED_REPORT = "the object is a structured report"
    DOCUMENT = "the object is a document (PDF, for example)"
    RADIOTHERAPY = "the object is a structure set, plan or dose of radiotherapy"
    SEGMENTATION_OBJECT = "the object is a DICOM segmentation, which is not supported yet"
    OTHER_OBJECT = "the object is not an image"


FOREIGN_REASONS = frozenset(
    {
        ReadErrorReason.LOCALIZER,
        ReadErrorReason.SCREEN_CAPTURE,
        ReadErrorReason.STRUCTURED_REPORT,
        ReadErrorReason.DOCUMENT,
        ReadErrorReason.RADIOTHERAPY,
        ReadErrorReason.SEGMENTATION_OBJECT,
        ReadErrorReason.OTHER_OBJECT,
    }
)
"""Reasons of intact objects that are not for the task of any site. They do not count as a fault of the data."""


class ReadError(Exception):
    """A file is unusable; the other files of the source are unaffected.

    Attributes:
        reason: safe to show anywhere.
        detail: for the staff of the site only, because it may quote the file.
        file_number: position of the unusable file among the files of a series, from 0; none where all are concerned.
        modality: DICOM code, where the header is readable.
    """

    def __init__(
        self, reason: ReadErrorReason, detail: str = "", file_number: int | None = None, modality: str = ""
    ) -> None:
        super().__init__(reason, detail, file_number, modality)
        self.reason = reason
        self.detail = detail
        self.file_number = file_number
        self.modality = modality


# The exceptions of pydicom, nibabel, Pillow and numpy on broken files, collected by tests with broken files. Their own
# exception classes derive directly from Exception. They are listed by name, so that no reader is imported without need.
_READER_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
_READER_ERROR_NAMES = {
    "InvalidDicomError",
    "BytesLengthException",
    "ImageFileError",
    "HeaderDataError",
    "SpatialImageError",
    "WrapStructError",
}
_READER_LOGGERS = ("pydicom", "nibabel.global")
_TOO_LARGE_ERROR_NAMES = {"DecompressionBombError", "DecompressionBombWarning", "MemoryError", "_ArrayMemoryError"}


@contextmanager
def translate_read_errors() -> Iterator[None]:
    """Turns the exceptions of readers into ``ReadError``, and suppresses their warnings and log messages.

    Warnings and log messages quote values of the header, which must not reach a log.
    """
    with warnings.catch_warnings(), _mute_loggers():
        warnings.simplefilter("ignore")
        try:
            yield
        except ReadError:
            raise
        except Exception as error:
            if reason := classify_error(error):
                raise ReadError(reason, f"{type(error).__name__}: {error}"[:500]) from None
            raise


@contextmanager
def _mute_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _READER_LOGGERS]
    were_disabled = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, were_disabled, strict=True):
            logger.disabled = disabled


def classify_error(error: Exception) -> ReadErrorReason | None:
    """Returns the reason of an exception of a reader; none for an exception of our own."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TOO_LARGE_ERROR_NAMES:
        return ReadErrorReason.TOO_LARGE
    is_reader_error = isinstance(error, _READER_ERRORS) or names & _READER_ERROR_NAMES
    return ReadErrorReason.UNREADABLE if is_reader_error else None
