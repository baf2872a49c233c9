import shutil

import numpy as np
import pydicom
import pytest
from builders.dicom_series import write_series

from anamnesis.records import LabelOrigin, LabelSource, Split

CONFLICT = "one image has two labels; correct one of them"
COPY = "the file is a copy of another one; the image counts once"


@pytest.fixture
def mr_site(make_site):
    """A site of 24 patients with one series of four slices each."""
    site = make_site("mr")
    for patient in range(24):
        write_series(site.folder / ("no", "yes")[patient % 2] / f"p{patient}", patient)

    def ingest(**changes):
        return site.ingest(modalities=("MR",), test_fraction=0.4, **changes)

    return site, ingest


def test_a_series_that_was_exported_twice_counts_once(mr_site):
    site, ingest = mr_site
    first = ingest()
    shutil.copytree(site.folder / "no/p0", site.folder / "no/p0 (1)")
    shutil.copy(site.folder / "yes/p1/MR1_2.dcm", site.folder / "yes/p1/copy of MR1_2.dcm")
    second_export = pydicom.dcmread(site.folder / "yes/p3/MR1_2.dcm")
    second_export.InstitutionName = "exported a second time"
    second_export.save_as(site.folder / "yes/p3/second.dcm")
    result = ingest()
    assert result.snapshot == first.snapshot
    assert (result.counts["copies"], result.counts["quarantined"]) == (6, 0)
    assert set(site.quarantine().values()) == {COPY}


def test_a_truncated_copy_of_a_good_slice_is_listed_alone(mr_site):
    site, ingest = mr_site
    first = ingest()
    good = site.folder / "no/p0/MR1_1.dcm"
    (site.folder / "no/p0/MR1_1b.dcm").write_bytes(good.read_bytes()[:-100])
    assert ingest().snapshot == first.snapshot
    assert list(site.quarantine()) == ["no/p0/MR1_1b.dcm"]


def test_one_instance_uid_with_different_pixels_is_never_chosen(mr_site):
    site, ingest = mr_site
    changed = pydicom.dcmread(site.folder / "no/p0/MR1_1.dcm")
    changed.PixelData = bytes(reversed(changed.PixelData))
    changed.save_as(site.folder / "no/p0/changed.dcm")
    ingest()
    assert set(site.quarantine()) == {"no/p0/changed.dcm", *(f"no/p0/MR1_{number}.dcm" for number in range(4))}


def test_one_instance_uid_in_the_files_of_several_patients_is_no_copy(make_site):
    site = make_site()
    for patient in range(24):
        folder = site.folder / ("no", "yes")[patient % 2] / f"p{patient}"
        write_series(folder, patient, slices=1, Modality="DX", SOPInstanceUID="1.2.3", StudyInstanceUID="1.2")
    changed = pydicom.dcmread(site.folder / "no/p0/MR1_0.dcm")
    changed.PixelData = bytes(reversed(changed.PixelData))
    changed.save_as(site.folder / "no/p0/changed.dcm")
    result = site.ingest(test_fraction=0.4)
    assert result.reasons == {"two files have one SOPInstanceUID and different pixels": 2}
    assert sum(result.counts[split] for split in ("train", "validation", "test")) == 23


def test_one_picture_under_two_labels_is_a_conflict_of_both(site, mr_site):
    shutil.copy(site.folder / "no/no3.png", site.folder / "yes/x.png")
    site.png("yes/y.png", np.random.default_rng(5).integers(0, 256, (8, 10), dtype=np.uint8))  # equal pixels of no4.png
    result = site.ingest()
    conflicts = ("no/no3.png", "yes/x.png", "no/no4.png", "yes/y.png")
    assert site.quarantine() == dict.fromkeys(conflicts, CONFLICT)
    assert result.counts["train"] + result.counts["test"] == 58
    mr, ingest = mr_site
    shutil.copytree(mr.folder / "no/p0", mr.folder / "yes/p0")
    assert ingest().reasons == {CONFLICT: 8}


def test_a_table_that_lists_a_file_twice_loses_this_file_only(make_site):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for number in range(40):
        site.png(f"{number}.png")
    rows = [f"{number}.png,{('no', 'yes')[number % 2]},{number}" for number in range(40)]
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient", *rows, "./7.png,no,7", "8.png,no,8.0"]))
    result = site.ingest()
    assert site.quarantine() == {"7.png": "the label table lists the file twice with different values"}
    assert result.counts["train"] + result.counts["test"] == 39


def test_copies_count_once_where_the_table_has_patients(make_site):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for number in range(40):
        site.png(f"{number}.png")
    for name in ("copy.png", "unlisted.png"):
        shutil.copy(site.folder / "3.png", site.folder / name)
    shutil.copy(site.folder / "5.png", site.folder / "other.png")
    rows = [f"{number}.png,{('no', 'yes')[number % 2]},{number},s{number}" for number in range(40)]
    rows += ["copy.png,yes,3,s3", "unlisted.png,,3,s3", "other.png,yes,6,s6"]
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient,study", *rows]))
    result = site.ingest()
    assert sum(result.counts[split] for split in (Split.TRAIN, Split.TEST)) == 40
    assert result.counts["copies"] == 2
    assert result.reasons == {"another patient or study has the same pixels": 1}


def test_a_series_with_a_slice_in_conflict_is_incomplete(mr_site):
    site, ingest = mr_site
    (site.folder / "yes/q").mkdir()
    shutil.copy(site.folder / "no/p0/MR1_3.dcm", site.folder / "yes/q/last.dcm")
    result = ingest()
    assert result.reasons == {
        "another slice of the series is unusable; send the complete series again": 3,
        CONFLICT: 2,
    }
