import itertools

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image, load_mask

VOXELS = np.random.default_rng(0).integers(0, 1000, (5, 6, 8)).astype(np.int16)  # slice, row, column
_AXES = np.concatenate([np.eye(3), -np.eye(3)]).tolist()
ORIENTATIONS = [a + b for a, b in itertools.product(_AXES, _AXES) if abs(np.dot(a, b)) < 0.5]
TO_NIFTI = np.diag([-1.0, -1.0, 1.0, 1.0])


def _rotated(orientation, degrees):
    """Turns both directions about an oblique axis."""
    axis = np.array([1, 2, 3]) / np.sqrt(14)
    angle = np.radians(degrees)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    return (np.array(orientation).reshape(2, 3) @ rotation.T).ravel()


def _write_scan(write_dicom, folder, orientation, spacing=(1.5, 1.5), step=4.0):
    """Writes one scan as a DICOM series and as NIfTI; the slices follow each other along their normal."""
    row, column = orientation[:3], orientation[3:]
    normal, origin = np.cross(row, column), np.array([-20.0, 30.0, 7.0])
    paths = [
        write_dicom(
            f"{number}",
            VOXELS[number],
            ImagePositionPatient=[round(float(x), 6) for x in origin + normal * step * number],
            ImageOrientationPatient=[round(float(x), 8) for x in orientation],
            PixelSpacing=list(spacing),
        )
        for number in range(len(VOXELS))
    ]
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * spacing[1], column * spacing[0], normal * step, origin])
    nibabel.save(nibabel.Nifti1Image(VOXELS.transpose(2, 1, 0), TO_NIFTI @ affine), folder / "scan.nii.gz")
    return tuple(paths), folder / "scan.nii.gz"


@pytest.mark.parametrize("degrees", [0, 12])
def test_dicom_and_nifti_of_one_scan_are_equal_in_every_orientation(write_dicom, tmp_path, degrees):
    for orientation in ORIENTATIONS:
        paths, nifti = _write_scan(write_dicom, tmp_path, _rotated(orientation, degrees))
        series, volume = load_image(PixelSource(paths)), load_image(PixelSource((nifti,)))
        np.testing.assert_array_equal(series.pixels, volume.pixels)
        assert (series.spacing, series.axes) == (volume.spacing, volume.axes)
        assert series.slice_axis == volume.slice_axis
        np.testing.assert_allclose(series.affine, volume.affine, atol=1e-4)
        # Every voxel keeps its place: the affine maps the turned index to where the acquisition put it.
        index = np.array(np.unravel_index(series.pixels.argmax(), series.pixels.shape))
        number, row, column = np.unravel_index(VOXELS.argmax(), VOXELS.shape)
        cosines = _rotated(orientation, degrees)
        place = (
            np.array([-20.0, 30.0, 7.0])
            + np.cross(cosines[:3], cosines[3:]) * 4 * number
            + cosines[3:] * 1.5 * row
            + cosines[:3] * 1.5 * column
        )
        np.testing.assert_allclose(np.array(series.affine) @ [*index, 1], place, atol=1e-3)
        # The axes point to the head, the back and the left, as closely as the grid allows.
        assert (np.diag(np.array(series.affine)[::-1, :3]) > 0).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS[::3], ids=str)
def test_a_single_slice_is_shown_as_radiologists_see_it(write_dicom, tmp_path, orientation):
    """Also as NIfTI, and equal to the middle slice that networks read of a volume."""
    import torch

    from anamnesis.training.intensity import to_planes

    paths, nifti = _write_scan(write_dicom, tmp_path, np.array(orientation))
    single = load_image(PixelSource((paths[2],)))
    volume = load_image(PixelSource((nifti,)))
    planes = to_planes(torch.from_numpy(volume.pixels[None]), volume.axes, volume.slice_axis)
    np.testing.assert_array_equal(planes[0, 0], single.pixels)
    vertical, horizontal = (np.array(single.affine)[:, axis] for axis in (0, 1))
    assert vertical[2] < 0 or vertical[1] > 0  # downwards: to the feet, or to the back
    assert horizontal[0] > 0 or horizontal[1] > 0  # rightwards: to the left, or to the back


@pytest.mark.parametrize(
    ("spacing", "stated_axis", "expected"),
    [
        ((4, 1, 1), None, 2),  # reformatted by another program: the slices are along the first axis of the file
        ((0.5, 0.9, 0.9), None, 2),
        ((1, 1, 1), None, 0),  # nothing is known, so the third axis of the file
        ((1, 1, 1), 1, 1),
    ],
)
def test_the_axis_of_the_slices_of_a_nifti(tmp_path, spacing, stated_axis, expected):
    image = nibabel.Nifti1Image(VOXELS, np.diag([*spacing, 1]))
    if stated_axis is not None:
        image.header.set_dim_info(slice=stated_axis)
    nibabel.save(image, tmp_path / "a.nii")
    assert load_image(PixelSource((tmp_path / "a.nii",))).slice_axis == expected


def test_a_mask_follows_its_image(write_dicom, tmp_path):
    prone = {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0], "PixelSpacing": [1, 1], "ImagePositionPatient": [0, 0, 0]}
    picture = write_dicom("a.dcm", VOXELS[0], **prone)
    mask = (VOXELS[0] > 500).astype(np.uint8)
    Pillow.fromarray(mask).save(tmp_path / "a_mask.png")
    sources = PixelSource((tmp_path / "a_mask.png",)), PixelSource((picture,))
    np.testing.assert_array_equal(load_mask(*sources).pixels, load_image(sources[1]).pixels > 500)
    np.testing.assert_array_equal(load_mask(*sources).pixels, mask[::-1, ::-1])
    no_place = write_dicom("b.dcm", VOXELS[0])
    np.testing.assert_array_equal(load_mask(sources[0], PixelSource((no_place,))).pixels, mask)
    nibabel.save(nibabel.Nifti1Image(VOXELS[0].T, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ReadError) as caught:
        load_mask(sources[0], PixelSource((tmp_path / "a.nii",)))
    assert caught.value.reason is ReadErrorReason.NO_ORIENTATION
