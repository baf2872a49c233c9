import numpy as np
import pytest

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)
AXIAL = [1, 0, 0, 0, 1, 0]
GEOMETRY = {"ImageOrientationPatient": AXIAL, "PixelSpacing": [1, 1]}


def _load(paths):
    return load_image(PixelSource(tuple(paths)))


@pytest.fixture
def write_series(write_dicom):
    """Writes slices; ``change(number)`` gives fields of a slice."""

    def write(count, change=lambda number: {}, step=(0, 0, 5)):
        return [
            write_dicom(
                f"{number}",
                **(
                    {"pixels": RAMP + number, "ImagePositionPatient": [number * s for s in step]}
                    | GEOMETRY
                    | change(number)
                ),
            )
            for number in range(count)
        ]

    return write


@pytest.mark.parametrize("orientation", [AXIAL, [-1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]])
def test_slices_are_sorted_from_feet_to_head_and_turned_to_the_patient(write_series, orientation):
    depths = [30.0, 10.0, 20.0]
    image = _load(
        write_series(
            3,
            lambda n: {
                "pixels": RAMP + int(depths[n]),
                "ImagePositionPatient": [0, 0, depths[n]],
                "ImageOrientationPatient": orientation,
                "PixelSpacing": [2, 3],
            },
        )
    )
    turned = RAMP[:: int(orientation[4]), :: int(orientation[0])]
    assert (image.axes, image.spacing, image.slice_axis) == ("ZYX", (10.0, 2.0, 3.0), 0)
    np.testing.assert_array_equal(image.pixels, np.stack([turned + 10, turned + 20, turned + 30]))
    assert [row[:3] for row in image.affine] == [(0, 0, 3), (0, 2, 0), (10, 0, 0)]
    assert [row[3] for row in image.affine] == [-21 if orientation[0] < 0 else 0, -10 if orientation[4] < 0 else 0, 10]


def test_slices_with_a_scale_each_become_floats(write_series):
    image = _load(
        write_series(
            2, lambda n: {"pixels": RAMP, "RescaleSlope": (0.5, 1)[n], "RescaleIntercept": 0, "Modality": "PT"}
        )
    )
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels[0] * 2, image.pixels[1])


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"pixels": RAMP[:4]}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"PixelSpacing": [1, 2]}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"ImageOrientationPatient": [0] * 6}, ReadErrorReason.NO_ORIENTATION),
        ({"Units": "CNTS"}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"FrameOfReferenceUID": "1.2.9"}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"ImagePositionPatient": [0, 0, 0]}, ReadErrorReason.SEVERAL_IMAGES_AT_ONE_POSITION),
        ({"ImagePositionPatient": [0, 0, 55]}, ReadErrorReason.INCONSISTENT_SLICES),
        ({"ImagePositionPatient": [4, 0, 15]}, ReadErrorReason.GANTRY_TILT),
        ({"ImagePositionPatient": None}, ReadErrorReason.NO_POSITIONS),
        ({"ImagePositionPatient": [0, 0]}, ReadErrorReason.UNREADABLE),
        ({"PixelSpacing": [0, 0]}, ReadErrorReason.UNUSABLE_SPACING),
        ({"GantryDetectorTilt": 12}, ReadErrorReason.GANTRY_TILT),
    ],
    ids=str,
)
def test_slices_that_do_not_fit_are_refused(write_series, last, reason):
    assert _load(write_series(4)).axes == "ZYX"
    with pytest.raises(ReadError) as caught:
        _load(write_series(4, lambda number: last if number == 3 else {}))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("step", "missing", "reason"),
    [
        ((0, 0.1, 5), "", None),  # less than half a pixel over the whole series
        ((0, -5 * np.tan(np.radians(18.5)), 5), "", ReadErrorReason.GANTRY_TILT),
        ((0, 0, 300), "", ReadErrorReason.INCONSISTENT_SLICES),  # scouts
        ((0, 0, 5), "ImagePositionPatient", ReadErrorReason.NO_POSITIONS),
        ((0, 0, 5), "ImageOrientationPatient", ReadErrorReason.NO_POSITIONS),
        ((0, 0, 5), "PixelSpacing", ReadErrorReason.NO_POSITIONS),
    ],
)
def test_a_series_is_a_right_angled_grid_or_refused(write_series, step, missing, reason):
    paths = write_series(4, lambda number: {missing: None} if missing else {}, step)
    if reason is None:
        assert _load(paths).pixels.shape == (4, 6, 8)
        return
    with pytest.raises(ReadError) as caught:
        _load(paths)
    assert caught.value.reason is reason


def test_copies_of_a_slice_count_once(write_series, tmp_path):
    paths = write_series(3)
    (tmp_path / "copy").write_bytes(paths[1].read_bytes())
    expected, image = _load(paths), _load([*paths, tmp_path / "copy"])
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert image.affine == expected.affine
    assert _load([paths[1], tmp_path / "copy"]).axes == "YX"


def test_an_unusable_slice_is_named_by_its_number(write_series):
    paths = write_series(4)
    paths[2].write_bytes(paths[2].read_bytes()[:-10])
    with pytest.raises(ReadError) as caught:
        _load(paths)
    assert (caught.value.reason, caught.value.file_number) == (ReadErrorReason.UNREADABLE, 2)
