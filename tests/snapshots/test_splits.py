from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import InputError, LabelsFrom, LabelSource, Split, Target
from anamnesis.snapshots.splits import choose
from anamnesis.snapshots.studies import Study

ROWS = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(0, 30)), max_size=120)


def _studies(rows):
    return [
        Study((f"{place}",), f"p{patient}", f"{place}", {}, None if index is None else Target(index=index))
        for place, (index, patient) in enumerate(rows)
    ]


def _choose(studies, maximum):
    patients = {study.patient for study in studies}
    sides = {p: Split.TEST if int(p[1:]) % 4 == 0 else Split.TRAIN for p in patients}
    return choose(studies, sides, {p: f"stored {p}" for p in patients}, maximum), sides


@given(ROWS, st.integers(0, 130), st.randoms())
def test_choosing_keeps_the_limit_and_no_order(rows, maximum, random):
    studies = _studies(rows)
    chosen, _ = _choose(studies, maximum)
    assert len(chosen) == (min(maximum, len(studies)) if maximum else len(studies))
    shuffled = random.sample(studies, len(studies))
    assert {study.files for study in _choose(shuffled, maximum)[0]} == {study.files for study in chosen}


@given(ROWS, st.integers(1, 130))
def test_classes_get_even_shares(rows, maximum):
    studies = _studies(rows)
    chosen, _ = _choose(studies, maximum)
    there = Counter(study.target.index for study in studies if study.target)
    taken = Counter(study.target.index for study in chosen if study.target)
    short = [index for index in there if taken[index] < there[index]]
    if short and sum(there.values()) > maximum:
        assert max(taken.values()) - min(taken[index] for index in short) <= 1
        assert all(study.target for study in chosen)  # studies without an answer only fill what is left


def test_both_sides_are_thinned_alike_and_patients_stay_whole():
    studies = _studies([(place % 2, patient) for patient in range(40) for place in range(6)])
    chosen, sides = _choose(studies, 120)
    assert Counter(sides[study.patient] for study in chosen) == {Split.TRAIN: 90, Split.TEST: 30}
    for index in (0, 1):
        for side in (Split.TRAIN, Split.TEST):
            counts = Counter(s.patient for s in chosen if s.target.index == index and sides[s.patient] is side)
            assert sorted(counts.values())[1:] == [3] * (len(counts) - 1)  # the last one may be cut


def _labels(site, rows, columns="file,label,patient,study,split"):
    (site.folder / "labels.csv").write_text("\n".join([columns, *rows]))
    site.config = site.config.__class__(
        site.config.name,
        site.config.source,
        site.config.modalities,
        site.config.task,
        LabelSource(LabelsFrom.MANIFEST, "labels.csv"),
    )


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
    assert all(len({r.split for r in records if r.patient == one.patient}) == 1 for one in records)
    pixels = {sample.id: sample for sample in site.samples(result, Split.TEST)}
    assert len(pixels) >= 2


def test_a_patient_on_both_sides_is_refused_without_a_name(make_site):
    site = make_site()
    for number in range(4):
        site.png(f"Rossi{number}.png")
    _labels(site, [f"Rossi{n}.png,{('no', 'yes')[n % 2]},Rossi,s{n},{'test' if n else 'train'}" for n in range(4)])
    with pytest.raises(InputError, match="1 patients are in training and test") as caught:
        site.ingest()
    assert "Rossi" not in str(caught.value)
    assert set(site.quarantine()) == {f"Rossi{n}.png" for n in range(4)}


def test_a_tested_patient_never_comes_to_training(make_site):
    site = make_site()
    for number in range(40):
        site.png(f"{number}.png")
    rows = [f"{n}.png,{('no', 'yes')[n % 2]},p{n // 2},s{n}" for n in range(40)]
    _labels(site, rows, "file,label,patient,study")
    first = site.ingest()
    tested = {record.patient for record in site.manifest(first).of(Split.TEST)}
    lowered = site.ingest(test_fraction=0.0)
    assert {record.patient for record in site.manifest(lowered).of(Split.TEST)} == tested
    _labels(site, [f"{row},train" for row in rows])
    with pytest.raises(InputError, match="although an issued test set has them"):
        site.ingest()


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
