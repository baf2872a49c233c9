import numpy as np
import pytest
from PIL import Image

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image

HOUNSFIELD = np.concatenate([np.full(500, -1000), np.linspace(-150, 900, 524)]).reshape(32, 32).round()


def _png(path, pixels):
    Image.fromarray(pixels).save(path)
    return PixelSource((path,))


def _npz(path, pixels):
    np.savez(path, images=pixels[None])
    return PixelSource((path,), "images", 0)


def test_a_dicom_ct_without_its_offset_or_sign_is_refused(write_dicom):
    for pixels in (HOUNSFIELD + 1024, np.where(HOUNSFIELD < 0, HOUNSFIELD + 65536, HOUNSFIELD), HOUNSFIELD):
        path = write_dicom(
            "a",
            pixels.astype(np.int16) if pixels.min() < 0 else pixels.astype(np.uint16),
            Modality="CT",
            RescaleSlope=1,
            RescaleIntercept=0,
        )
        if pixels.min() < 0:
            np.testing.assert_array_equal(load_image(PixelSource((path,)), "CT").pixels, pixels)
            continue
        with pytest.raises(ReadError) as caught:
            load_image(PixelSource((path,)), "CT")
        assert caught.value.reason is ReadErrorReason.OTHER_UNIT


@pytest.mark.parametrize(
    ("write", "pixels", "modality", "reason"),
    [
        (_png, (HOUNSFIELD + 32768).astype(np.uint16), "CT", ReadErrorReason.OTHER_UNIT),
        (_png, (HOUNSFIELD + 1024).astype(np.uint16), "CT", ReadErrorReason.OTHER_UNIT),
        (_png, HOUNSFIELD.clip(0).astype(np.uint16), "CT", ReadErrorReason.OTHER_UNIT),
        (_npz, (HOUNSFIELD + 1024).astype(np.int32), "CT", ReadErrorReason.OTHER_UNIT),
        (_npz, (HOUNSFIELD / 1000 + 1).astype(np.float32), "CT", ReadErrorReason.NO_CONTRAST),
        (_npz, (HOUNSFIELD - 5000).astype(np.int16), "CT", ReadErrorReason.NO_CONTRAST),
        (_npz, HOUNSFIELD.astype(np.int16), "CT", None),
        (_png, (HOUNSFIELD + 32768).astype(np.uint16), "DX", None),
        (_png, (HOUNSFIELD / 8 + 128).astype(np.uint8), "CT", None),
        (_png, np.full((8, 8), 255, np.uint8), "DX", ReadErrorReason.NO_CONTRAST),
        (_png, np.full((8, 8), 7, np.uint16), "", ReadErrorReason.NO_CONTRAST),
        (_npz, np.eye(8, dtype=bool), "MR", ReadErrorReason.NO_CONTRAST),
        (
            _png,
            np.where(np.arange(1024).reshape(32, 32) < 2, 0, 65535).astype(np.uint16),
            "DX",
            ReadErrorReason.NO_CONTRAST,
        ),
        (_png, np.zeros((8, 8), np.uint8), None, None),
    ],
)
def test_images_without_contrast_or_unit_are_refused(tmp_path, write, pixels, modality, reason):
    source = write(tmp_path / f"a.{write.__name__.strip(chr(95))}", pixels)
    if reason is None:
        np.testing.assert_array_equal(load_image(source, modality).pixels, pixels)
        return
    with pytest.raises(ReadError) as caught:
        load_image(source, modality)
    assert caught.value.reason is reason
