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
    UNREADABLE = "the file is damaged or has the wrong format"
    TOO_LARGE = "the image is too large for memory; give the ingest more memory, or export a smaller image"
    COMPRESSED = "compressed DICOM is not supported yet"
    MULTI_FRAME = "several frames in one file are not supported yet"
    NO_PIXELS = "the file has no pixels"
    UNSUPPORTED_COLOURS = "the colour space or lookup table is not supported"
    BURNED_IN_ANNOTATIONS = "the header reports annotations that are burned into the pixels"
    NOT_FINITE = "some pixels are not finite numbers"
    INCONSISTENT_SLICES = "the slices of one series are inconsistent"
    UNEXPECTED_LAYOUT = "the arrays of the file have an unexpected layout"


class ReadError(Exception):
    """A file is unusable; the other files of the source are unaffected.

    Attributes:
        reason: safe to show anywhere.
        detail: for the staff of the site only, because it may quote the file.
    """

    def __init__(self, reason: ReadErrorReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


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
