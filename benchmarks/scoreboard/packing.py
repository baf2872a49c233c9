"""Maps as short text: 8 bits a pixel, each map divided by its maximum."""

import base64
import zlib

import torch
from torch import Tensor


def pack(maps: Tensor) -> str:
    """Returns maps [n, h, w] as text."""
    peak = maps.flatten(1).amax(1).clamp(min=1e-12)[:, None, None]
    pixels = (255 * maps / peak).round().to(torch.uint8).numpy().tobytes()
    return "x".join(map(str, maps.shape)) + ":" + base64.b64encode(zlib.compress(pixels, 9)).decode()


def unpack(text: str) -> Tensor:
    """Returns maps [n, h, w] from 0 to 1."""
    shape, encoded_pixels = text.split(":")
    flat = torch.frombuffer(bytearray(zlib.decompress(base64.b64decode(encoded_pixels))), dtype=torch.uint8)
    return flat.reshape(tuple(map(int, shape.split("x")))).float() / 255
