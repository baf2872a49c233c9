import contextlib
import gzip
import shutil

import nibabel
import numpy as np
import pytest

from anamnesis.imaging import Format, PixelSource, ReadError, ReadErrorReason, detect_format, load_image, load_mask

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


def test_a_damaged_gzip_file_is_never_accepted_with_other_voxels(tmp_path):
    """A flipped bit is found by the checksum at the end, or is in a part of the gzip header without meaning."""
    pixels = np.random.default_rng(0).normal(100, 30, (12, 10, 6)).astype(np.int16)
    data = _save(tmp_path / "a.nii.gz", pixels).read_bytes()
    expected = load_image(PixelSource((tmp_path / "a.nii.gz",))).pixels
    accepted_count = 0
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "b.nii.gz").write_bytes(damaged)
        with contextlib.suppress(ReadError):
            np.testing.assert_array_equal(load_image(PixelSource((tmp_path / "b.nii.gz",))).pixels, expected)
            accepted_count += 1
    assert accepted_count < 5


@pytest.mark.parametrize("length", [-9, -1, 1])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_a_file_that_is_cut_or_longer_than_its_header_says_is_refused(tmp_path, suffix, length):
    path = _save(tmp_path / f"a.{suffix}", VOLUME)
    data = path.read_bytes()
    path.write_bytes(data[:length] if length < 0 else data + b"x")
    with pytest.raises(ReadError) as caught:
        load_image(PixelSource((path,)))
    assert caught.value.reason is ReadErrorReason.UNREADABLE


def test_a_damaged_mask_is_refused(tmp_path):
    image, mask = _save(tmp_path / "a.nii.gz", VOLUME), _save(tmp_path / "a_mask.nii.gz", (VOLUME > 3).astype(np.uint8))
    assert load_mask(PixelSource((mask,)), PixelSource((image,))).pixels.sum() == 20
    damaged = bytearray(mask.read_bytes())
    damaged[-6] ^= 1  # in the checksum
    mask.write_bytes(damaged)
    with pytest.raises(ReadError) as caught:
        load_mask(PixelSource((mask,)), PixelSource((image,)))
    assert caught.value.reason is ReadErrorReason.UNREADABLE


def _with_forms(path, sform, qform):
    """Writes a file; each form is (diagonal or affine, code), or none."""
    image = nibabel.Nifti1Image(VOLUME, None)
    for form, setter in ((sform, image.header.set_sform), (qform, image.header.set_qform)):
        if form is not None:
            setter(np.diag([*form[0], 1]) if np.ndim(form[0]) == 1 else form[0], code=form[1])
    nibabel.save(image, path)
    return PixelSource((path,))


SHEAR = np.eye(4)
SHEAR[1, 2] = 0.4


@pytest.mark.parametrize(
    ("sform", "qform", "reason"),
    [
        (None, None, ReadErrorReason.NO_ORIENTATION),
        (([1, 1, 1], 1), ([-1, 1, 1], 1), ReadErrorReason.NO_ORIENTATION),
        (([1, 1, 0], 1), None, ReadErrorReason.UNUSABLE_SPACING),
        (([1, 1, np.nan], 1), None, ReadErrorReason.UNUSABLE_SPACING),
        ((SHEAR, 1), None, ReadErrorReason.GANTRY_TILT),
        (
            (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), 1),
            None,
            ReadErrorReason.NO_ORIENTATION,
        ),
    ],
)
def test_a_file_whose_orientation_is_not_clear_is_refused(tmp_path, sform, qform, reason):
    with pytest.raises(ReadError) as caught:
        load_image(_with_forms(tmp_path / "a.nii", sform, qform))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("sform", "qform", "spacing"),
    [
        (([1, 2, 3], 1), None, (3, 2, 1)),
        (None, ([1, 2, 3], 1), (3, 2, 1)),
        (([1, 2, 3], 4), ([1, 2, 2.5], 1), (2.5, 2, 1)),  # the scanner's coordinates, not those of an atlas
        ((SHEAR, 4), ([1, 2, 3], 1), (3, 2, 1)),
    ],
)
def test_the_orientation_of_the_scanner_counts(tmp_path, sform, qform, spacing):
    assert load_image(_with_forms(tmp_path / "a.nii", sform, qform)).spacing == spacing


def test_lengths_in_metres_become_millimetres(tmp_path):
    image = nibabel.Nifti1Image(VOLUME, np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    assert load_image(PixelSource((tmp_path / "a.nii",))).spacing == pytest.approx((3, 2, 1))


@pytest.mark.parametrize(("slope", "intercept"), [(0, 5), (np.nan, np.nan), (1, 0)])
def test_a_slope_of_zero_or_none_means_no_scaling(tmp_path, slope, intercept):
    path = _save(tmp_path / "a.nii", VOLUME)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([slope, intercept], "<f4").tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(load_image(PixelSource((path,))).pixels, VOLUME[::-1, ::-1].transpose(2, 1, 0))
