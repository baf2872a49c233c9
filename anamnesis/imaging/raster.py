"""Reader of PNG and JPEG."""

import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors
from anamnesis.imaging.pixels import Pixels, to_image
from anamnesis.records import Image

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 20
_GREY_MODES = {"1", "L", "LA", "La"}
_PICTURE_MODES = _GREY_MODES | {"P", "PA", "RGB", "RGBA", "RGBa"}


def load_image(path: Path) -> Image:
    """Returns grey ``YX`` (8 or 16 bits, as stored) or colour ``YXC`` (RGB), turned according to the EXIF orientation.

    Raises:
        ReadError: the file is unreadable, animated, partly transparent, or a decompression bomb.
    """
    with translate_read_errors(), warnings.catch_warnings():
        warnings.simplefilter("error", Pillow.DecompressionBombWarning)
        _check_png(path)
        with Pillow.open(path, formats=("PNG", "JPEG")) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ReadError(
                    ReadErrorReason.MULTI_FRAME,
                    f"expected one frame, found {getattr(image, 'n_frames', 1)}; export one file for each frame",
                )
            is_16_bit = image.format == "PNG" and _png_depth(path) == 16
            pixels = _decode_pixels(ImageOps.exif_transpose(image), is_16_bit)
    return to_image(pixels, (1.0, 1.0), "YX" if pixels.ndim == 2 else "YXC")


def _decode_pixels(image: Pillow.Image, is_16_bit: bool) -> Pixels:
    if is_16_bit and not image.mode.startswith("I"):
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            "expected 8 bits for each colour, found 16; export the image with 8 bits for each colour, or as grey",
        )
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in _PICTURE_MODES:
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS, f"expected grey or RGB, found {image.mode}; export the image as RGB"
        )
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS, "some pixels are transparent; export the image without transparency"
        )
    return np.asarray(image.convert("L" if image.mode in _GREY_MODES else "RGB"))


def _png_depth(path: Path) -> int:
    """Returns the bits of each channel: byte 24 of a PNG (ISO/IEC 15948, 11.2.2); Pillow does not report them."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _check_png(path: Path) -> None:
    """Compares the checksum of each chunk of a PNG (ISO/IEC 15948, 5.3), which Pillow does not for pixels."""
    with path.open("rb") as file:
        if file.read(len(_PNG_SIGNATURE)) != _PNG_SIGNATURE:
            return
        kind = b""
        while kind != b"IEND":
            length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            checksum = zlib.crc32(kind)
            while length and (block := file.read(min(length, _BLOCK))):
                checksum, length = zlib.crc32(block, checksum), length - len(block)
            if length or len(kind) < 4 or checksum != int.from_bytes(file.read(4), "big"):
                raise ReadError(
                    ReadErrorReason.UNREADABLE, "the checksum of a PNG chunk does not match; copy the file again"
                )
