import csv
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import InputError, LabelOrigin, LabelSource, Split
from anamnesis.snapshots.patient_ids import normalise_patient_id
from anamnesis.snapshots.phantoms import write_phantom_site

IDENTIFIERS = st.text(max_size=12) | st.integers().map(str) | st.floats().map(str)
SEVENTEEN = [17, 17.0, " 17", "17.0", "0017", "17\u00a0", "\uff11\uff17", "17\u200b", "\u0661\u0667", "\ufeff17", "17."]


@given(IDENTIFIERS)
def test_the_normal_form_is_its_own_normal_form(identifier):
    once = normalise_patient_id(identifier)
    assert normalise_patient_id(once) == once


@given(st.integers(0, 10**12))
def test_a_number_is_one_patient_in_every_notation(number):
    notations = (number, float(number), f" {number} ", f"{number}.00", f"0{number}")
    assert {normalise_patient_id(notation) for notation in notations} == {str(number)}


@pytest.mark.parametrize("identifier", SEVENTEEN)
def test_notations_of_seventeen(identifier):
    assert normalise_patient_id(identifier) == "17"


@pytest.mark.parametrize("identifier", ["", " ", "nan", "None", "NULL", "N/A", "<NA>", "#REF!", "\u200b"])
def test_cells_without_a_value_are_empty(identifier):
    assert normalise_patient_id(identifier) == ""


@pytest.mark.parametrize(("first", "second"), [("17", "171"), ("1.5", "15"), ("a-1", "a1"), ("p 1", "p1"), ("-3", "3")])
def test_different_patients_stay_different(first, second):
    assert normalise_patient_id(first) != normalise_patient_id(second)


def test_composed_and_decomposed_letters_and_dashes_are_one_patient():
    forms = ("Jos\u00e9\u20131", "Jose\u0301-1", " JOS\u00c9 - 1".replace(" - ", "-"), "jos\u00e9\u22121")
    assert len({normalise_patient_id(form) for form in forms}) == 1


def _write_table(site, rows):
    with (site.folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label", "patient"], *rows])
    site.config = replace(site.config, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))


def test_a_second_export_with_fractions_moves_nobody(make_site):
    site = make_site()
    names = {(person, number): f"{person:02}_{number}.png" for person in range(40) for number in range(3)}
    for (_, number), name in names.items():
        if number < 2:
            site.png(name)
    _write_table(site, [(n, ("no", "yes")[p % 2], str(p)) for (p, k), n in names.items() if k < 2])
    tested = {record.patient for record in site.manifest(site.ingest()).samples_of(Split.TEST)}
    for (_, number), name in names.items():
        if number == 2:
            site.png(name)
    _write_table(site, [(n, ("no", "yes")[p % 2], f"{p:.1f}") for (p, _), n in names.items()])
    second = site.manifest(site.ingest())
    assert {record.patient for record in second.samples_of(Split.TEST)} == tested
    assert not tested & {record.patient for record in second.samples_of(Split.TRAIN)}


def test_groups_of_an_archive_are_normalised(make_site):
    site = make_site()
    groups = np.repeat(np.arange(30), 2)
    images = np.random.default_rng(0).integers(0, 255, (60, 6, 6), dtype=np.uint8)
    names = np.array(["no", "yes"])
    np.savez(site.folder / "a.npz", images=images, labels=np.arange(60) // 2 % 2, groups=groups, class_names=names)
    first = site.ingest()
    text_groups = np.array([f" {group}.0" for group in groups])
    np.savez(site.folder / "a.npz", images=images, labels=np.arange(60) // 2 % 2, groups=text_groups, class_names=names)
    assert site.ingest().snapshot == first.snapshot


@pytest.mark.parametrize(("count", "total"), [(20, 20), (25, 90), (31, 60)])
@pytest.mark.parametrize("identifier", ["ANON", "000"])
def test_a_shared_identifier_stops_before_a_test_set_is_frozen(make_site, identifier, count, total):
    site = make_site()
    for number in range(total):
        site.png(f"{number}.png")
    labels = [("no", "yes")[number % 2] for number in range(total)]
    _write_table(site, [(f"{n}.png", labels[n], identifier if n < count else f"REAL{n}") for n in range(total)])
    message = r"one patient identifier has .* more than (20|half).*maximumStudiesPerPatient"
    with pytest.raises(InputError, match=message) as caught:
        site.ingest()
    assert identifier not in str(caught.value)
    assert not list(site.store.list("testsets/"))
    _write_table(site, [(f"{n}.png", labels[n], f"REAL{n}") for n in range(total)])
    assert site.ingest().counts["test"] > 0  # corrected: nothing is locked


def test_a_shared_identifier_that_comes_later_is_quarantined(make_site):
    site = make_site(maximum_quarantine_share=0.5)
    rows = [(f"{n}.png", ("no", "yes")[n % 2], f"REAL{n}" if n < 60 else "ANON") for n in range(85)]
    for name, *_ in rows[:60]:
        site.png(name)
    _write_table(site, rows[:60])
    first = site.ingest()
    for name, *_ in rows[60:]:
        site.png(name)
    _write_table(site, rows)
    later = site.ingest()
    assert (later.snapshot, later.counts["quarantined"]) == (first.snapshot, 25)
    assert set(site.quarantine().values()) == {
        "one patient identifier has more studies than maximumStudiesPerPatient, so it may be many people"
    }
    declared = site.ingest(maximum_studies_per_patient=25)
    assert len(site.manifest(declared).samples) == 85


def test_many_studies_of_one_patient_can_be_declared(make_site):
    site = make_site(test_fraction=0.5)
    for number in range(90):
        site.png(f"{number}.png")
    _write_table(site, [(f"{n}.png", ("no", "yes")[n % 2], f"p{n // 30 if n < 30 else n}") for n in range(90)])
    with pytest.raises(InputError, match="has 30 studies, more than 20"):
        site.ingest()
    assert site.ingest(maximum_studies_per_patient=30).counts["test"] > 0


@pytest.mark.parametrize("shared", [False, True])
def test_a_table_and_files_that_disagree_about_a_patient_are_a_conflict(make_site, shared):
    site = make_site()
    phantoms = write_phantom_site(site.folder, "ct", patients=24, seed=0)
    site.config = replace(phantoms, name=site.config.name, test_fraction=0.4)
    paths = sorted(site.folder.glob("*/*"))
    headers = [pydicom.dcmread(path) for path in paths]
    conflicting = {
        f"{path.parent.name}/{path.name}"
        for path, h in zip(paths, headers, strict=True)
        if h.PatientID == headers[0].PatientID
    }
    rows = []
    for number, (path, header) in enumerate(zip(paths, headers, strict=True)):
        name, patient = f"{path.parent.name}/{path.name}", f"pseudonym {header.PatientID}"
        rows.append((name, path.parent.name, f"row {number}" if name in conflicting else patient))
        if shared:  # an anonymised export: the table alone knows the patients
            header.PatientID = "ANON"
            header.save_as(path)
    _write_table(site, rows)
    result = site.ingest(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    reason = "one PatientID of the files has several patients in the label table; correct one of them"
    assert site.quarantine() == ({} if shared else dict.fromkeys(conflicting, reason))
    assert result.counts["quarantined"] == (0 if shared else len(conflicting) > 1 and len(conflicting))


def test_dicom_files_without_a_patient_are_refused_unless_declared(make_site):
    site = make_site()
    phantoms = write_phantom_site(site.folder, "ct", patients=24, seed=0)
    site.config = replace(phantoms, name=site.config.name, test_fraction=0.4)
    for path in site.folder.glob("*/*"):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = ""
        dataset.save_as(path)
    with pytest.raises(InputError, match="48 of 48 images have no PatientID, in 24 studies"):
        site.ingest()
    assert site.ingest(maximum_studies_per_patient=0).counts["test"] > 0
