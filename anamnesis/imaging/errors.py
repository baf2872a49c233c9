"""Why a file could not be read: one fixed reason that is safe to log, and a detail that may name the patient."""

import logging
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class ReadErrorReason(StrEnum):
    """The fixed reasons. They name no file, no value and nobody."""

    EMPTY_FILE = "the file is empty"
    NOT_A_FILE = "not a regular file"
    UNKNOWN_FORMAT = "not a format that is read here"
    UNREADABLE = "the file is damaged or not what it says it is"
    TOO_LARGE = "the image would not fit into memory"
    COMPRESSED = "compressed DICOM is not read yet"
    MULTI_FRAME = "several frames in one file are not read yet"
    NO_PIXELS = "there are no pixels in the file"
    UNSUPPORTED_COLOURS = "this kind of colour or lookup table is not read"
    BURNED_IN_ANNOTATIONS = "the header says that annotations are burned into the pixels"
    NOT_FINITE = "some pixels are not finite numbers"
    INCONSISTENT_SLICES = "the slices of one series do not fit together"
    UNEXPECTED_LAYOUT = "the arrays of the file are not laid out as expected"


class ReadError(Exception):
    """A file cannot be used; the rest of the source can.

    Attributes:
        reason: safe to show anywhere.
        detail: for the people of the site only: it may hold what stood in the file.
    """

    def __init__(self, reason: ReadErrorReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


# What pydicom, nibabel, Pillow and numpy raise on broken files, as found by feeding them broken files. Their own
# exception classes derive straight from Exception and are known by name, so that no reader is imported without need.
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
    """Turns what a reader raises on a broken file into a ``ReadError``, and keeps its warnings and its log quiet.

    Both quote values of the header; they must not reach anybody's log.
    """
    with warnings.catch_warnings(), _mute_loggers():
        warnings.simplefilter("ignore")
        try:
            yield
        except ReadError:
            raise
        except Exception as error:
            if reason := _classify_error(error):
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


def _classify_error(error: Exception) -> ReadErrorReason | None:
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TOO_LARGE_ERROR_NAMES:
        return ReadErrorReason.TOO_LARGE
    is_reader_error = isinstance(error, _READER_ERRORS) or names & _READER_ERROR_NAMES
    return ReadErrorReason.UNREADABLE if is_reader_error else None
