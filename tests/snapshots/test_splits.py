from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import InputError, LabelOrigin, LabelSource, Split, Target
from anamnesis.snapshots.splits import stratified_subset
from anamnesis.snapshots.studies import Study

ROWS = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(0, 30)), max_size=120)


def _studies(rows):
    return [
        Study(
            files=(f"{row_number}",),
            patient=f"p{patient}",
            study=f"{row_number}",
            pixel_sources={},
            target=None if index is None else Target(index=index),
        )
        for row_number, (index, patient) in enumerate(rows)
    ]


def _select_subset(studies, maximum):
    patients = {study.patient for study in studies}
    splits = {p: Split.TEST if int(p[1:]) % 4 == 0 else Split.TRAIN for p in patients}
    return stratified_subset(studies, splits, {p: f"stored {p}" for p in patients}, maximum), splits


@given(ROWS, st.integers(0, 130), st.randoms())
def test_the_stratified_subset_keeps_the_limit_and_ignores_order(rows, maximum, random):
    studies = _studies(rows)
    chosen, _ = _select_subset(studies, maximum)
    assert len(chosen) == (min(maximum, len(studies)) if maximum else len(studies))
    shuffled = random.sample(studies, len(studies))
    assert {study.files for study in _select_subset(shuffled, maximum)[0]} == {study.files for study in chosen}


@given(ROWS, st.integers(1, 130))
def test_classes_get_even_shares(rows, maximum):
    studies = _studies(rows)
    chosen, _ = _select_subset(studies, maximum)
    available = Counter(study.target.index for study in studies if study.target)
    chosen_counts = Counter(study.target.index for study in chosen if study.target)
    short = [index for index in available if chosen_counts[index] < available[index]]
    if short and sum(available.values()) > maximum:
        assert max(chosen_counts.values()) - min(chosen_counts[index] for index in short) <= 1
        assert all(study.target for study in chosen)  # studies without a target only fill the rest


def test_both_splits_are_thinned_alike_and_patients_stay_whole():
    studies = _studies([(number % 2, patient) for patient in range(40) for number in range(6)])
    chosen, splits = _select_subset(studies, 120)
    assert Counter(splits[study.patient] for study in chosen) == {Split.TRAIN: 90, Split.TEST: 30}
    for index in (0, 1):
        for split in (Split.TRAIN, Split.TEST):
            counts = Counter(s.patient for s in chosen if s.target.index == index and splits[s.patient] is split)
            assert sorted(counts.values())[1:] == [3] * (len(counts) - 1)  # the last one may be cut


def _labels(site, rows, columns="file,label,patient,study,split"):
    (site.folder / "labels.csv").write_text("\n".join([columns, *rows]))
    site.config = replace(site.config, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))


def test_a_declared_split_wins_for_all_images_of_the_patient(make_site):
    site = make_site()
    rows = []
    for number in range(40):
        site.png(f"{number}.png")
        declared = "test" if number in (0, 1) else "train" if number in (2, 3) else ""
        rows.append(f"{number}.png,{('no', 'yes')[number % 2]},p{number // 4},s{number},{declared}")
    rows = [row.replace(",p0,", f",p0{'ab'[n // 2]},") if n < 4 else row for n, row in enumerate(rows)]
    _labels(site, rows)
    result = site.ingest()
    records = site.manifest(result).samples
    assert all(len({r.split for r in records if r.patient == record.patient}) == 1 for record in records)
    pixels = {sample.id: sample for sample in site.samples(result, Split.TEST)}
    assert len(pixels) >= 2


def test_a_patient_in_two_splits_is_quarantined_and_the_others_go_on(make_site):
    site = make_site()
    for number in range(44):
        site.png(f"Rossi{number}.png")
    rows = [f"Rossi{n}.png,{('no', 'yes')[n % 2]},Rossi {n // 4},s{n},{'test' if n % 5 else 'train'}" for n in range(4)]
    rows += [f"Rossi{n}.png,{('no', 'yes')[n % 2]},p{n},s{n},{'test' if n % 3 else 'train'}" for n in range(4, 44)]
    _labels(site, rows)
    result = site.ingest()
    reason = "the source puts one patient into two splits, such as training and test; declare one"
    assert site.quarantine() == {f"Rossi{n}.png": reason for n in range(4)}
    assert (len(site.manifest(result).samples), result.counts["quarantined"]) == (40, 4)
    with pytest.raises(InputError, match=r"4 of 44 images are unusable.*: 4 x the source puts one patient") as caught:
        site.ingest(maximum_quarantine_share=0.05)
    assert "Rossi" not in str(caught.value)


def test_a_tested_patient_never_comes_to_training(make_site):
    site = make_site()
    for number in range(40):
        site.png(f"{number}.png")
    rows = [f"{n}.png,{('no', 'yes')[n % 2]},p{n // 2},s{n}" for n in range(40)]
    _labels(site, rows, "file,label,patient,study")
    first = site.ingest()
    tested = {record.patient for record in site.manifest(first).samples_of(Split.TEST)}
    lowered = site.ingest(test_fraction=0.0)
    assert {record.patient for record in site.manifest(lowered).samples_of(Split.TEST)} == tested
    _labels(site, [f"{row},train" for row in rows])
    with pytest.raises(InputError, match=r"of 40 images are unusable.* into training; declare 'test' or 'calib"):
        site.ingest()
    result = site.ingest(maximum_quarantine_share=0.9)
    assert result.test_set == first.test_set
    assert not tested & {record.patient for record in site.manifest(result).samples}
    assert set(site.quarantine().values()) == {
        "the source puts a patient of a frozen test or calibration set into training; declare 'test' or 'calibration'"
    }


def test_an_npz_with_an_unknown_split_does_not_stop_the_others(site):
    images = np.random.default_rng(0).integers(0, 255, (4, 6, 6), dtype=np.uint8)
    labels = np.arange(4) % 2
    np.savez(site.folder / "a.npz", images=images, labels=labels, split=np.array([0, 1, 2, 0]))
    np.savez(site.folder / "b.npz", images=images + 1, labels=labels, mrn=np.arange(4))
    result = site.ingest()
    reason = "the arrays of the file have an unexpected layout"
    assert site.quarantine() == {"a.npz": reason, "b.npz": reason}
    assert len(site.manifest(result).samples) == 60


def test_npz_split_and_groups_are_used(make_site):
    site = make_site(classes=("no", "yes"))
    images = np.random.default_rng(0).integers(0, 255, (40, 6, 6), dtype=np.uint8)
    groups = np.array([f"g{n // 4}" for n in range(40)])
    split = (np.arange(40) // 4 % 5 == 0).astype(np.uint8)
    labels = np.arange(40) % 2
    names = np.array(["no", "yes"])
    np.savez(site.folder / "a.npz", images=images, labels=labels, groups=groups, split=split, class_names=names)
    result = site.ingest()
    assert (result.counts["train"], result.counts["test"]) == (32, 8)
    assert len({record.patient for record in site.manifest(result).samples}) == 10
