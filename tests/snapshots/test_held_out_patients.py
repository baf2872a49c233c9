import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis import snapshots
from anamnesis.records import (
    TRAINING_SPLITS,
    InputError,
    LabelOrigin,
    LabelSource,
    RefusedError,
    Split,
    Target,
    canonical_json,
    digest_json,
)
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS, read_calibration_set
from anamnesis.snapshots.held_out_patients import hold_out_patients
from anamnesis.snapshots.studies import Study

KEYS = st.binary(min_size=32, max_size=40)
SPLITS = st.dictionaries(
    st.integers(0, 500).map(lambda number: f"p{number}"),
    st.sampled_from([Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.TEST]),
    max_size=400,
)


def _studies(patient_splits, declared=False):
    return [
        Study((patient,), patient, patient, {}, Target(index=0), split if declared else None)
        for patient, split in patient_splits.items()
    ]


def _patients(splits, *members):
    return {patient for patient, split in splits.items() if split in members}


@given(KEYS, SPLITS, st.sampled_from([None, False, True]), st.booleans(), st.randoms())
def test_held_out_patients_are_training_patients_and_never_few(key, before, has_calibration, declared, random):
    studies = _studies(before, declared)
    after = hold_out_patients(studies, before, key, has_calibration=has_calibration)
    assert _patients(after, Split.TEST) == _patients(before, Split.TEST)
    assert _patients(after, *TRAINING_SPLITS, Split.CALIBRATION) == _patients(before, Split.TRAIN)
    for split in (Split.VALIDATION, *([] if has_calibration else [Split.CALIBRATION])):
        assert len(_patients(after, split)) == 0 or len(_patients(after, split)) >= MINIMUM_PATIENTS
    if declared:  # results for declared splits do not change
        assert _patients(after, *TRAINING_SPLITS) == _patients(before, Split.TRAIN)
    shuffled = random.sample(studies, len(studies))
    assert hold_out_patients(shuffled, before, key, has_calibration=has_calibration) == after


@given(KEYS, SPLITS, SPLITS)
def test_a_patient_stays_in_calibration_while_the_site_grows(key, first, later):
    grown = later | first
    frozen = _patients(hold_out_patients(_studies(first), first, key, has_calibration=True), Split.CALIBRATION)
    after = hold_out_patients(_studies(grown), grown, key, has_calibration=True)
    assert frozen <= _patients(after, Split.CALIBRATION)


def test_the_shares_are_a_tenth_and_a_fifth_of_the_rest():
    before = dict.fromkeys((f"p{number}" for number in range(4000)), Split.TRAIN)
    after = hold_out_patients(_studies(before), before, b"k" * 32, has_calibration=None)
    shares = [len(_patients(after, split)) / 4000 for split in (Split.CALIBRATION, Split.VALIDATION)]
    assert shares == pytest.approx([0.1, 0.18], abs=0.02)


def test_a_source_with_validation_patients_keeps_them():
    before = dict.fromkeys((f"p{number}" for number in range(400)), Split.TRAIN) | {"v": Split.VALIDATION}
    after = hold_out_patients(_studies(before), before, b"k" * 32, has_calibration=False)
    assert _patients(after, Split.VALIDATION) == {"v"}


def _fill_archive(site, count, first=0, declared=()):
    generator = np.random.default_rng(first)
    np.savez(
        site.folder / f"{first}.npz",
        images=generator.integers(0, 255, (count, 6, 6), dtype=np.uint8),
        labels=np.arange(count) % 2,
        groups=np.array([f"g{number}" for number in range(first, first + count)]),
        class_names=np.array(["no", "yes"]),
        **({"split": np.array(declared)} if len(declared) else {}),
    )


def test_a_calibration_set_is_frozen_beside_the_test_set(make_site):
    site = make_site()
    _fill_archive(site, 320)
    first = site.ingest()
    (test_set,) = snapshots.list_test_sets(site.store)
    frozen = read_calibration_set(site.store, test_set.calibration)
    calibrating = {sample.patient for sample in frozen.samples}
    samples = site.manifest(first).samples
    assert len(calibrating) >= MINIMUM_PATIENTS
    assert {sample.patient for sample in samples if sample.split is Split.CALIBRATION} == calibrating
    assert not calibrating & {sample.patient for sample in samples if sample.split is not Split.CALIBRATION}

    _fill_archive(site, 320, first=320)
    grown = site.manifest(site.ingest(test_fraction=0.5))
    assert snapshots.list_test_sets(site.store) == (test_set,)
    waiting = {sample.patient for sample in grown.samples_of(Split.CALIBRATION)}
    assert calibrating < waiting  # later calibration patients wait for the next test set

    second = snapshots.issue_test_set(replace(site.config, test_fraction=0.5), site.store, site.key, workers=1)
    assert {s.patient for s in read_calibration_set(site.store, second.calibration).samples} == waiting


def test_only_a_guard_for_calibration_opens_the_set(make_site):
    site = make_site()
    _fill_archive(site, 320)
    result = site.ingest()
    digest = snapshots.list_test_sets(site.store)[0].calibration
    guard = snapshots.Guard({digest: frozenset({Split.CALIBRATION})})
    assert len(list(snapshots.open_calibration_set(site.store, digest, guard))) == result.counts["calibration"]
    for forbidden in (snapshots.Guard({digest: frozenset({Split.TEST})}), site.guard(result)):
        with pytest.raises(RefusedError, match="may not open the split 'calibration'"):
            snapshots.open_calibration_set(site.store, digest, forbidden)


def test_a_small_site_and_declared_splits_have_no_calibration_set(make_site):
    small, declared = make_site("small"), make_site("declared")
    _fill_archive(small, 60)
    _fill_archive(declared, 320, declared=(np.arange(320) // 2 % 5 == 0).astype(int))
    for site in (small, declared):
        result = site.ingest()
        assert (snapshots.list_test_sets(site.store)[0].calibration, result.counts["calibration"]) == ("", 0)
    assert result.counts["train"] + result.counts["validation"] == 256


def test_declared_validation_and_calibration_are_kept(make_site):
    site = make_site()
    words = {"train": "train", "val": "validation", "test": "test", "calibration": "calibration"}
    rows = []
    for number, word in enumerate(10 * list(words)):
        site.png(f"{number}.png")
        rows.append(f"{number}.png,{('no', 'yes')[number // 4 % 2]},p{number},{word}")
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient,split", *rows]))
    site.config = replace(site.config, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    result = site.ingest()
    assert {word: result.counts[word] for word in words.values()} == dict.fromkeys(words.values(), 10)


def test_a_frozen_calibration_patient_never_comes_to_training(make_site):
    site = make_site()
    _fill_archive(site, 320)
    site.ingest()
    _fill_archive(site, 320, declared=np.zeros(320, int))
    with pytest.raises(InputError, match="a patient of a frozen test or calibration set into training"):
        site.ingest()


def test_an_old_schema_is_refused_in_one_sentence(make_site):
    site = make_site()
    site.fill(8)
    site.ingest()
    key = "testsets/00000000000000000001.json"
    document = site.store.get(key).replace(b'"schema":2', b'"schema":1')

    fields = json.loads(document)
    site.store.put(key, canonical_json(fields | {"digest": digest_json(fields["test_set"])}))
    with pytest.raises(InputError, match="found schema 1 of TestSet, this release reads schema 2"):
        snapshots.list_test_sets(site.store)


def test_an_empty_training_side_and_few_test_patients_are_told(make_site):
    site = make_site()
    site.fill(35)
    notices = site.ingest(test_fraction=1.0).notices
    assert len(notices) == 1
    assert "no labelled patient is on the training side" in notices[0]
    other = make_site("south", classes=("no", "yes"))
    _fill_archive(other, 40)
    (notice,) = other.ingest().notices
    assert "test patients of the classes: 'no' " in notice
    assert "below gate.minimumTestPatients (30 if it is not set) the gate stays undecided" in notice
