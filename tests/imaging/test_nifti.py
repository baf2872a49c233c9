import gzip
import shutil

import nibabel
import numpy as np
import pytest

from anamnesis.imaging import Format, PixelSource, ReadError, ReadErrorReason, detect_format, load_image

VOLUME = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)  # X, Y, Z


def _save(path, pixels, affine=None, kind=nibabel.Nifti1Image):
    nibabel.save(kind(pixels, np.eye(4) if affine is None else affine), path)
    return path


def test_volumes_are_turned_to_the_axes_of_dicom(tmp_path):
    image = load_image(PixelSource((_save(tmp_path / "a.nii.gz", VOLUME, np.diag([1, 2, 3, 1])),)))
    assert (image.axes, image.spacing, image.pixels.dtype) == ("ZYX", (3.0, 2.0, 1.0), np.int16)
    np.testing.assert_array_equal(image.pixels, VOLUME[::-1, ::-1].transpose(2, 1, 0))


def test_any_stored_orientation_gives_the_same_volume(tmp_path):
    expected = load_image(PixelSource((_save(tmp_path / "a.nii", VOLUME, np.diag([1, 2, 3, 1])),)))
    flipped = _save(tmp_path / "b.nii", VOLUME[::-1], np.diag([-1, 2, 3, 1]))
    swapped = np.array([[0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]], float)
    turned = _save(tmp_path / "c.nii", VOLUME.transpose(1, 0, 2), swapped)
    for path in (flipped, turned):
        image = load_image(PixelSource((path,)))
        assert image.spacing == expected.spacing
        np.testing.assert_array_equal(image.pixels, expected.pixels)


@pytest.mark.parametrize(
    ("shape", "axes", "spacing"),
    [
        ((4, 5), "YX", (2.0, 1.0)),
        ((4, 5, 1), "YX", (2.0, 1.0)),
        ((1, 4, 5), "YX", (3.0, 2.0)),
        ((4, 5, 6, 1), "ZYX", (3.0, 2.0, 1.0)),
    ],
)
def test_axes_of_length_one_are_dropped(tmp_path, shape, axes, spacing):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = load_image(PixelSource((_save(tmp_path / "a.nii", pixels, np.diag([1, 2, 3, 1])),)))
    assert (image.axes, image.spacing) == (axes, spacing)
    assert image.pixels.size == pixels.size


def test_second_version_and_scaling(tmp_path):
    path = tmp_path / "a.nii"
    image = nibabel.Nifti2Image(VOLUME.astype(np.float64) / 2, np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, path)
    loaded = load_image(PixelSource((path,)))
    assert detect_format(path) is Format.NIFTI
    assert loaded.pixels.dtype == np.float32
    np.testing.assert_allclose(np.sort(loaded.pixels.ravel()), np.arange(24) / 2, atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((4, 4, 4, 3), np.int16), ReadErrorReason.MULTI_FRAME),
        (np.full((4, 4), np.nan, np.float32), ReadErrorReason.NOT_FINITE),
        (np.zeros((1, 1, 7), np.int16), ReadErrorReason.NO_PIXELS),
        (np.zeros((4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), ReadErrorReason.UNSUPPORTED_COLOURS),
    ],
)
def test_files_that_are_not_images_are_refused(tmp_path, pixels, reason):
    with pytest.raises(ReadError) as caught:
        load_image(PixelSource((_save(tmp_path / "a.nii.gz", pixels),)))
    assert caught.value.reason is reason


def test_the_suffix_does_not_matter(tmp_path):
    plain, packed = _save(tmp_path / "a.nii", VOLUME), tmp_path / "no_suffix"
    with plain.open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    np.testing.assert_array_equal(load_image(PixelSource((packed,))).pixels, load_image(PixelSource((plain,))).pixels)


def test_a_header_that_announces_too_much_is_refused_unread(tmp_path):
    path = _save(tmp_path / "a.nii", VOLUME)
    data = bytearray(path.read_bytes())
    data[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    path.write_bytes(data)
    with pytest.raises(ReadError) as caught:
        load_image(PixelSource((path,)))
    assert caught.value.reason is ReadErrorReason.TOO_LARGE
