import json
from dataclasses import replace

import pytest
from builders.dicom_series import write_series

from anamnesis.records import InputError, LabelSource

DAMAGED = "the file is damaged or has the wrong format"
INCOMPLETE = "another slice of the series is unusable; send the complete series again"


@pytest.fixture
def pet_ct(make_site):
    """A site of 16 patients with a PET and a CT series each, in one folder for each series."""
    site = make_site()
    for patient in range(16):
        folder = site.folder / ("no", "yes")[patient % 2] / f"p{patient}"
        write_series(folder / "ct", patient, modality="CT")
        write_series(folder / "pt", patient, modality="PT")
    site.config = replace(site.config, modalities=("PT", "CT"), test_fraction=0.4, maximum_quarantine_share=0.2)
    return site


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_an_unreadable_slice_is_named_and_its_series_is_incomplete(pet_ct):
    cut(pet_ct.folder / "no/p0/pt/PT1_1.dcm")  # its header is readable
    (pet_ct.folder / "yes/p1/pt/PT1_3.dcm").write_bytes(b"")  # the last slice: no gap shows that it is missing
    pet_ct.ingest()
    reasons = pet_ct.quarantine()
    assert reasons["no/p0/pt/PT1_1.dcm"] == DAMAGED
    assert reasons["yes/p1/pt/PT1_3.dcm"] == "the file is empty"
    incomplete = {file for file, reason in reasons.items() if reason == INCOMPLETE}
    assert {f"no/p0/pt/PT1_{number}.dcm" for number in (0, 2, 3)} <= incomplete
    assert {f"yes/p1/pt/PT1_{number}.dcm" for number in (0, 1, 2)} <= incomplete
    (listed,) = pet_ct.store.list("quarantine/")
    entries = json.loads(pet_ct.store.get(listed.key))["entries"]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    causes = {entries[entry["cause"] - 1]["file"] for entry in entries if entry["reason"] == INCOMPLETE}
    assert causes == {"no/p0/pt/PT1_1.dcm", "yes/p1/pt/PT1_3.dcm"}


def test_a_broken_file_beside_two_series_is_listed_alone(make_site):
    site = make_site()
    for patient in range(16):
        for series in (1, 2):
            write_series(site.folder / ("no", "yes")[patient % 2] / f"p{patient}", patient, series=series)
    (site.folder / "no/p0/broken.dcm").write_bytes(b"")
    result = site.ingest(modalities=("MR",), test_fraction=0.4)
    assert site.quarantine() == {"no/p0/broken.dcm": "the file is empty"}
    assert result.counts["train"] + result.counts["test"] == 32


def test_foreign_objects_are_counted_apart_and_do_not_quarantine_their_study(pet_ct):
    first = pet_ct.ingest()
    for patient in range(8):
        folder = pet_ct.folder / ("no", "yes")[patient % 2] / f"p{patient}"
        localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
        write_series(folder / "scout", patient, slices=1, modality="CT", series=9, **localizer)
        write_series(folder / "mr", patient, slices=20, modality="MR")
    result = pet_ct.ingest(maximum_quarantine_share=0.0)
    assert result.snapshot == first.snapshot
    assert (result.counts["foreign"], result.counts["quarantined"]) == (168, 0)
    assert result.foreign_reasons == {
        "the modality is not one of the site's modalities": 160,
        "the image is a localizer (scout)": 8,
    }


def test_a_file_of_another_modality_is_foreign_though_it_cannot_be_read(pet_ct):
    first = pet_ct.ingest()
    (clip,) = write_series(pet_ct.folder / "no/p0/clip", 0, modality="MR", slices=1, NumberOfFrames=30)
    (own_clip,) = write_series(pet_ct.folder / "no/p0/dynamic", 0, modality="PT", slices=1, NumberOfFrames=30)
    result = pet_ct.ingest()
    assert (result.snapshot, result.counts["foreign"], result.counts["quarantined"]) == (first.snapshot, 1, 1)
    reasons = pet_ct.quarantine()
    assert reasons[f"no/p0/clip/{clip.name}"] == "the modality is not one of the site's modalities"
    assert reasons[f"no/p0/dynamic/{own_clip.name}"] == "several frames in one file are not supported yet"


def test_scouts_in_a_series_that_does_not_name_them_leave_its_slices(pet_ct):
    first = pet_ct.ingest()
    sagittal, coronal = [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]
    fields = {"ImageOrientationPatient": sagittal, "SOPInstanceUID": "1.2.8"}
    (scout,) = write_series(pet_ct.folder / "scout", 0, modality="CT", slices=1, **fields)
    scout.rename(pet_ct.folder / "no/p0/ct/scout.dcm")  # one series with the slices
    for number, plane in ((1, sagittal), (2, coronal)):
        fields = {"ImageOrientationPatient": plane, "SeriesInstanceUID": "1.2.9", "SOPInstanceUID": f"1.2.9.{number}"}
        (scout,) = write_series(pet_ct.folder / f"{number}", 1, modality="CT", slices=1, **fields)
        scout.rename(pet_ct.folder / f"yes/p1/scout{number}.dcm")
    result = pet_ct.ingest(maximum_quarantine_share=0.0)
    assert result.snapshot == first.snapshot
    assert result.foreign_reasons == {"the image is a localizer (scout)": 3}
    write_series(pet_ct.folder / "no/p2/ct", 2, modality="CT", ImageOrientationPatient=coronal)  # a coronal acquisition
    assert pet_ct.ingest().foreign_reasons == result.foreign_reasons


def test_a_source_of_foreign_objects_alone_is_refused_with_their_reasons(pet_ct):
    with pytest.raises(
        InputError, match=r"none of the 128 files .* 128 x the modality is not one .*; correct the addr"
    ):
        pet_ct.ingest(modalities=("MG",))


def test_slices_of_two_patients_or_labels_have_reasons_of_their_own(pet_ct):
    write_series(pet_ct.folder / "no/p2/pt", 2, modality="PT", slices=1, PatientID="another")
    (pet_ct.folder / "yes/p3/pt/PT1_0.dcm").rename(pet_ct.folder / "no/moved.dcm")
    pet_ct.ingest(maximum_quarantine_share=0.3, labels=LabelSource())
    reasons = pet_ct.quarantine()
    assert reasons["no/p2/pt/PT1_3.dcm"] == "the files of one series belong to different patients"
    assert reasons["no/moved.dcm"] == "the files of one study have different labels"
