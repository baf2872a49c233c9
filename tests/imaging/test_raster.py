import numpy as np
import pytest
from PIL import Image

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.arange(144, dtype=np.uint8).reshape(6, 8, 3)


def _load(path):
    return load_image(PixelSource((path,)))


@pytest.mark.parametrize(
    ("pixels", "axes"), [(GREY, "YX"), (GREY.astype(np.uint16) * 1000, "YX"), (COLOUR, "YXC")], ids=["8", "16", "rgb"]
)
def test_png_is_kept_as_stored(tmp_path, pixels, axes):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = _load(tmp_path / "a.png")
    assert (image.axes, image.pixels.dtype, image.spacing) == (axes, pixels.dtype, (1.0, 1.0))
    np.testing.assert_array_equal(image.pixels, pixels)


def test_jpeg_is_read_under_any_name(tmp_path):
    Image.fromarray(np.full((6, 8), 77, np.uint8)).save(tmp_path / "a.png", format="JPEG")
    assert _load(tmp_path / "a.png").pixels.tolist() == [[77] * 8] * 6


def test_palette_and_opaque_alpha_become_colour_or_grey(tmp_path):
    Image.fromarray(COLOUR).quantize(256).save(tmp_path / "p.png")
    Image.fromarray(np.dstack([GREY, np.full_like(GREY, 255)])).save(tmp_path / "la.png")
    assert _load(tmp_path / "p.png").axes == "YXC"
    np.testing.assert_array_equal(_load(tmp_path / "la.png").pixels, GREY)


def test_the_stated_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(_load(tmp_path / "a.png").pixels, np.rot90(GREY, -1))


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for position in range(8, len(data), 5):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "b.png").write_bytes(damaged)
        with pytest.raises(ReadError) as caught:
            _load(tmp_path / "b.png")
        assert caught.value.reason is ReadErrorReason.UNREADABLE


def _transparent(path):
    Image.fromarray(np.dstack([COLOUR, GREY])).save(path)


def _animated(path):
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY[::-1])])


def _cmyk(path):
    Image.fromarray(COLOUR).convert("CMYK").save(path, format="JPEG")


def _bomb(path):
    Image.new("1", (20_000, 20_000)).save(path)


def _deep_colour(path):
    Image.fromarray(COLOUR).save(path)
    data = bytearray(path.read_bytes())
    data[24] = 16
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("write", "reasons"),
    [
        (_transparent, {ReadErrorReason.UNSUPPORTED_COLOURS}),
        (_cmyk, {ReadErrorReason.UNSUPPORTED_COLOURS}),
        (_animated, {ReadErrorReason.MULTI_FRAME}),
        (_bomb, {ReadErrorReason.TOO_LARGE}),
        (_deep_colour, {ReadErrorReason.UNSUPPORTED_COLOURS, ReadErrorReason.UNREADABLE}),
    ],
)
def test_what_cannot_be_kept_as_it_is_is_refused(tmp_path, write, reasons):
    write(tmp_path / "a.png")
    with pytest.raises(ReadError) as caught:
        _load(tmp_path / "a.png")
    assert caught.value.reason in reasons
