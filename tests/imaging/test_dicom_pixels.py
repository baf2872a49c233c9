import numpy as np
import pytest

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)
CT = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}


def _load(path):
    return load_image(PixelSource((path,)))


@pytest.mark.parametrize(
    ("pixels", "fields", "expected"),
    [
        (RAMP << 4, {"BitsStored": 12, "HighBit": 15}, RAMP),
        ((RAMP << 2) | 0xC003, {"BitsStored": 12, "HighBit": 13}, RAMP),
        ((RAMP.astype(np.int16) - 20) << 4, {"BitsStored": 12, "HighBit": 15}, RAMP.astype(int) - 20),
        # a sign that is not extended over the bits above
        ((RAMP.astype(np.int16) - 20) & 0xFFF, {"BitsStored": 12, "HighBit": 11}, RAMP.astype(int) - 20),
        # overlays in the bits above
        (RAMP | 0x8000, {"BitsStored": 12, "HighBit": 11, "overlay": 15}, RAMP),
    ],
)
def test_the_stored_bits_are_those_from_the_high_bit_down(write_dicom, pixels, fields, expected):
    overlay = fields.pop("overlay", None)
    path = write_dicom("a", pixels, **fields)
    if overlay:
        import pydicom

        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60000102, "US", overlay)
        dataset.save_as(path)
    np.testing.assert_array_equal(_load(path).pixels, expected)


@pytest.mark.parametrize(
    ("pixels", "fields", "reason"),
    [
        (RAMP, {"BitsStored": 17, "HighBit": 16}, ReadErrorReason.INCONSISTENT_BITS),
        (RAMP, {"BitsStored": 12, "HighBit": 16}, ReadErrorReason.INCONSISTENT_BITS),
        (RAMP, {"BitsStored": 12, "HighBit": 10}, ReadErrorReason.INCONSISTENT_BITS),
        (RAMP + 5000, {"BitsStored": 12, "HighBit": 11}, ReadErrorReason.INCONSISTENT_BITS),
        (RAMP, {"RescaleSlope": "", "RescaleIntercept": ""}, ReadErrorReason.UNUSABLE_RESCALE),
        (RAMP, {"RescaleSlope": 1, "RescaleIntercept": None}, ReadErrorReason.UNUSABLE_RESCALE),
        (RAMP, {"RescaleSlope": 0, "RescaleIntercept": 3}, ReadErrorReason.UNUSABLE_RESCALE),
        (RAMP, {"Modality": "CT"}, ReadErrorReason.OTHER_UNIT),
        (RAMP, {**CT, "RescaleType": "Z_EFF"}, ReadErrorReason.OTHER_UNIT),
        (RAMP, {"PixelData": RAMP.tobytes()[:-2]}, ReadErrorReason.UNREADABLE),
        (RAMP, {"PixelData": RAMP.tobytes() + b"\1\1"}, ReadErrorReason.UNREADABLE),
        (RAMP, {"PixelData": None}, ReadErrorReason.NO_PIXELS),
        (RAMP, {"PixelSpacing": [0, 0]}, ReadErrorReason.UNUSABLE_SPACING),
    ],
    ids=str,
)
def test_pixels_that_do_not_fit_their_header_are_refused(write_dicom, pixels, fields, reason):
    with pytest.raises(ReadError) as caught:
        _load(write_dicom("a", pixels, **fields))
    assert caught.value.reason is reason


def test_zeros_after_the_pixels_are_padding(write_dicom):
    np.testing.assert_array_equal(_load(write_dicom("a", RAMP, PixelData=RAMP.tobytes() + bytes(64))).pixels, RAMP)


@pytest.mark.parametrize("modality", ["CT", "PT", "NM"])
def test_physical_values_are_never_inverted(write_dicom, modality):
    """MONOCHROME1 only says how they are shown."""
    fields = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    water = _load(write_dicom("a", RAMP + 1024, **(CT | {"Modality": modality}), **fields))
    np.testing.assert_array_equal(water.pixels, RAMP)


def test_padding_gets_the_smallest_value_but_for_hounsfield_units(write_dicom):
    pixels = RAMP.astype(np.int16) + 100
    pixels[0, :3] = -2000
    fields = {"PixelPaddingValue": -2000, "BitsStored": 11, "HighBit": 10}
    image = _load(write_dicom("a", pixels, **fields))
    assert image.pixels.min() == 103
    np.testing.assert_array_equal(image.pixels[1:], pixels[1:])
    np.testing.assert_array_equal(_load(write_dicom("b", pixels, **fields, **CT)).pixels, pixels.astype(int) - 1024)
    film = _load(write_dicom("c", pixels, **fields, Modality="DX", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(film.pixels[1:].argsort(axis=None), pixels[1:].argsort(axis=None)[::-1])
    assert (film.pixels[0, :3] == film.pixels.min()).all()
