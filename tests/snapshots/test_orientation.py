"""Orientation, contrast and unit of images from the files of a source to the samples of a split."""

import nibabel
import numpy as np
import pytest

from anamnesis.imaging import ReadErrorReason
from anamnesis.records import Split, TaskType
from anamnesis.snapshots.quarantine import QuarantineReason

SAGITTAL = np.array([[0, 0, 5.0, -10], [-1.0, 0, 0, 8], [0, -1.0, 0, 6], [0, 0, 0, 1]])  # columns: back, feet, right


def _save(path, voxels, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.fixture
def organ_site(make_site):
    """Four sagittal volumes with masks."""
    site = make_site(classes=("organ",), type=TaskType.SEGMENTATION, maximum_quarantine_share=1.0)
    for number in range(4):
        voxels = np.random.default_rng(number).integers(0, 900, (12, 10, 4)).astype(np.int16)
        _save(site.folder / f"{number}.nii.gz", voxels, SAGITTAL)
        _save(site.folder / f"{number}_mask.nii.gz", (voxels > 500).astype(np.uint8), SAGITTAL)
    return site


def test_volumes_keep_their_affine_and_acquisition_plane_and_masks_follow(organ_site):
    """One mask is stored the other way round: it is the same mask."""
    path = organ_site.folder / "0_mask.nii.gz"
    mask = nibabel.load(path)
    turned = nibabel.as_closest_canonical(mask)
    assert np.asarray(turned.dataobj).shape != np.asarray(mask.dataobj).shape
    nibabel.save(nibabel.Nifti1Image(np.asarray(turned.dataobj), turned.affine), path)
    result = organ_site.ingest(test_fraction=0.5)
    samples = [sample for split in Split for sample in organ_site.samples(result, split)]
    assert len(samples) == 4
    for sample in samples:
        image, mask = sample.images["DX"], sample.images["mask"]
        assert (image.pixels.shape, image.slice_axis, image.spacing) == ((10, 12, 4), 2, (1, 1, 5))
        assert [row[:3] for row in image.affine] == [(0, 0, 5), (0, 1, 0), (1, 0, 0)]
        np.testing.assert_array_equal(mask.pixels, image.pixels > 500)


def test_a_mask_elsewhere_in_the_patient_is_refused(organ_site):
    path = organ_site.folder / "0_mask.nii.gz"
    shifted = SAGITTAL.copy()
    shifted[2, 3] += 3
    _save(path, np.asarray(nibabel.load(path).dataobj), shifted)
    data = bytearray((organ_site.folder / "1_mask.nii.gz").read_bytes())
    data[-6] ^= 1
    (organ_site.folder / "1_mask.nii.gz").write_bytes(data)
    organ_site.ingest()
    assert organ_site.quarantine() == {
        "0.nii.gz": QuarantineReason.MASK_PLACE,
        "1.nii.gz": ReadErrorReason.UNREADABLE,
    }


def test_pictures_without_unit_or_contrast_are_quarantined(make_site):
    site = make_site()
    site.fill()
    hounsfield = np.random.default_rng(0).normal(0, 300, (16, 16)).clip(-1000, 1000)
    site.png("yes/offset.png", (hounsfield + 32768).astype(np.uint16))
    site.png("no/white.png", np.full((16, 16), 255, np.uint8))
    rows = np.stack([hounsfield.astype(np.int16), np.full((16, 16), 40, np.int16)])
    np.savez(site.folder / "rows.npz", images=rows, labels=np.array([0, 1]), groups=np.array(["a", "b"]))
    site.ingest(modalities=("CT",), maximum_quarantine_share=1.0)
    assert site.quarantine() == {
        "yes/offset.png": ReadErrorReason.OTHER_UNIT,
        "no/white.png": ReadErrorReason.NO_CONTRAST,
        "rows.npz#images[1]": ReadErrorReason.NO_CONTRAST,
    }
