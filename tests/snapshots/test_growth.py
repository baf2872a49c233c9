"""A site that grows, loses files, corrects labels and withdraws patients."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from builders.sample_store import prepared_images
from PIL import Image

from anamnesis import snapshots
from anamnesis.records import InputError, LabelOrigin, LabelSource, PatientOrigin, Split
from anamnesis.records.sample import TRAINING_SPLITS
from anamnesis.snapshots.listings import read_last_listing
from anamnesis.snapshots.shards import content_digest
from anamnesis.snapshots.withdrawals import WithdrawalCounts, list_withdrawals, withdraw_patients

TABLE = LabelSource(LabelOrigin.MANIFEST, "labels.csv")


def _training(site, result):
    """Sample id -> index of its class, of the training side."""
    return {each.id: each.target.index for each in site.manifest(result).samples_of(*TRAINING_SPLITS)}


def _training_files(site, result, names):
    """The names, among some, whose image is on the training side."""
    training = {
        image.content for each in site.manifest(result).samples_of(*TRAINING_SPLITS) for image in each.images.values()
    }

    contents = {name: content_digest(np.asarray(Image.open(site.folder / name))) for name in names}
    return [name for name, content in contents.items() if content in training]


def _files(site, label):
    return sorted(path.relative_to(site.folder).as_posix() for path in (site.folder / label).iterdir())


class TableSite:
    """A site with a label table of one row for each file; a change of a row may leave the file where it is."""

    def __init__(self, site, patients=60):
        self.site = site
        site.config = replace(site.config, labels=TABLE)
        self.rows = {
            f"images/p{number}.png": ("yes" if number % 2 else "no", f"p{number}", "") for number in range(patients)
        }
        for name in self.rows:
            site.png(name)

    def ingest(self, **changes):
        with (self.site.folder / "labels.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [("file", "label", "patient", "split"), *((name, *row) for name, row in self.rows.items())]
            )
        return self.site.ingest(**changes)

    def change(self, name, label=None, patient=None, split=None):
        row = self.rows[name]
        self.rows[name] = tuple(
            old if new is None else new for old, new in zip(row, (label, patient, split), strict=True)
        )

    def delete(self, *names):
        for name in names:
            (self.site.folder / name).unlink()


@pytest.fixture
def table_site(make_site):
    return TableSite(make_site())


def test_a_bucket_that_drops_its_old_files_loses_no_training_sample(make_site):
    site = make_site()
    site.fill(20)
    result, listed = site.ingest(maximum_shrink_share=0.5), {}
    for month in range(1, 10):
        listed |= _training(site, result)
        for label in ("no", "yes"):
            for name in _files(site, label)[:5]:
                (site.folder / name).unlink()
            for number in range(10):
                site.png(f"{label}/{month}-{number}.png")
        earlier, result = result, site.ingest(maximum_shrink_share=0.5)
        assert _training(site, earlier).items() <= _training(site, result).items()
        assert not result.hold
    assert listed.items() <= _training(site, result).items()
    assert result.counts["carried_forward"] > 20
    assert sum(site.manifest(result).count_by_split().values()) > len(_files(site, "no")) + len(_files(site, "yes"))
    assert {each.id for each in site.samples(result, Split.TRAIN)} <= set(_training(site, result)), (
        "the images are stored"
    )


def test_files_that_leave_change_no_digest_and_come_back(site):
    first = site.ingest()
    gone = _training_files(site, first, _files(site, "no"))[:5]
    data = {name: (site.folder / name).read_bytes() for name in gone}
    for name in gone:
        (site.folder / name).unlink()
    second = site.ingest()
    assert (second.snapshot, second.counts["carried_forward"]) == (first.snapshot, 5)
    for name, content in data.items():
        (site.folder / name).write_bytes(content)
    assert "carried_forward" not in site.ingest().counts


def test_a_known_source_is_read_again_where_the_site_has_grown_since(site):
    first = site.ingest()
    added = [f"no/new{number}.png" for number in range(20)]
    for name in added:
        site.png(name)
    grown = site.ingest()
    for name in added:
        (site.folder / name).unlink()
    shrunk = site.ingest(maximum_shrink_share=1.0)
    site.ingest(maximum_shrink_share=0.9)
    assert not shrunk.reused
    assert _training(site, shrunk) == _training(site, grown)
    assert len(_training(site, first)) < len(_training(site, grown))
    assert site.ingest(maximum_shrink_share=0.9).reused


def test_files_that_move_or_are_exported_again_are_not_doubled(site):
    first = site.ingest()
    for name in _files(site, "no"):
        (site.folder / name).rename(site.folder / "no" / f"moved-{name.split('/')[1]}")
    moved = site.ingest()
    assert moved.snapshot == first.snapshot
    assert "carried_forward" not in moved.counts
    for name in _files(site, "yes"):
        site.png(name)  # another image under the same name
    exported = site.ingest()
    assert (exported.counts["train"], exported.counts.get("carried_forward", 0)) == (first.counts["train"], 0)


def test_a_study_keeps_the_images_that_merely_left_it(table_site):
    site, first = table_site.site, table_site.ingest()
    name = _training_files(site, first, table_site.rows)[0]
    patient = table_site.rows[name][1]
    for other in ("images/b.png", "images/c.png"):
        table_site.rows[other] = ("no", patient, "")
        site.png(other)
    header = ("file", "label", "patient", "study")
    rows = [(file, label, number, f"study of {number}") for file, (label, number, _) in table_site.rows.items()]

    def ingest():
        with (site.folder / "labels.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
        return site.ingest()

    complete = ingest()
    table_site.delete("images/b.png")
    assert ingest().snapshot == complete.snapshot
    table_site.delete(name)
    assert ingest().snapshot == complete.snapshot
    site.png("images/c.png")  # another export: b may be in it (the first image keeps its earlier study)
    assert len(_training(site, ingest())) == len(_training(site, complete)) - 1


def test_patients_who_are_held_out_now_are_not_carried_forward(table_site):
    site = table_site.site
    first = table_site.ingest()
    names = _training_files(site, first, table_site.rows)
    # Two images of one patient: one leaves, the other one is declared a test image now.
    table_site.rows["images/second.png"] = ("no", table_site.rows[names[0]][1], "")
    site.png("images/second.png")
    second = table_site.ingest()
    assert len(_training(site, second)) == len(names) + 1
    table_site.delete(names[0])
    table_site.change("images/second.png", split="test")
    third = table_site.ingest()
    assert len(_training(site, third)) == len(names) - 1
    assert "carried_forward" not in third.counts


def test_labels_of_training_and_test_that_are_swapped_and_put_right(table_site):
    site = table_site.site
    right = table_site.ingest()
    rows = dict(table_site.rows)
    for name, (label, _, _) in rows.items():
        table_site.change(name, label="no" if label == "yes" else "yes")
    swapped = table_site.ingest()
    assert _training(site, swapped) == {name: 1 - index for name, index in _training(site, right).items()}
    assert swapped.test_set == right.test_set
    assert swapped.counts["corrected_labels"] == len(_training(site, right))
    assert swapped.counts["corrected_test_labels"] == right.counts["test"]
    table_site.rows = rows
    put_right = table_site.ingest()
    assert put_right.snapshot == right.snapshot
    assert "corrected_test_labels" not in put_right.counts
    assert put_right.counts["corrected_labels"] == len(_training(site, right))


def test_a_row_corrects_removes_or_withdraws_an_image_whose_file_is_gone(table_site):
    site = table_site.site
    first = table_site.ingest()
    names = _training_files(site, first, table_site.rows)
    corrected, unlabelled, withdrawn, unchanged = names[:4]
    table_site.delete(*names[:4])
    table_site.change(corrected, label="yes" if table_site.rows[corrected][0] == "no" else "no")
    table_site.change(unlabelled, label="")
    table_site.change(withdrawn, split="Withdrawn")
    for attempt in range(2):
        second = table_site.ingest(maximum_studies_per_patient=20 + attempt)
        assert len(_training(site, second)) == len(names) - 2
        assert second.counts["carried_forward"] == 2
        assert not second.counts["quarantined"], "the table may list what has left"
    differing = set(_training(site, first).items()) - set(_training(site, second).items())
    assert len(differing) == 3
    table_site.change(unchanged, split="withdrawn")  # all of the patient's rows: the sample leaves too
    assert len(_training(site, table_site.ingest())) == len(names) - 3


def test_a_listed_file_that_is_withdrawn_takes_its_copies_along_and_stays_out(table_site):
    site = table_site.site
    first = table_site.ingest()
    names = _training_files(site, first, table_site.rows)
    pixels = (site.folder / names[0]).read_bytes()
    (site.folder / "images/copy.png").write_bytes(pixels)
    table_site.rows["images/copy.png"] = (table_site.rows[names[0]][0], "other", "")
    table_site.change(names[0], split="withdrawn", label="")
    second = table_site.ingest()
    assert len(_training(site, second)) == len(names) - 1
    assert second.counts["withdrawn"] == 2
    table_site.delete(names[0], "images/copy.png")
    third = table_site.ingest()
    assert third.snapshot == second.snapshot
    table_site.change(names[0], split="", label="no")  # the file is gone, so nothing comes back
    assert table_site.ingest().snapshot == second.snapshot


def test_withdrawn_patients_are_in_no_later_snapshot_or_test_set(site):
    first = site.ingest()
    training = _training_files(site, first, _files(site, "no"))
    test = sorted(set(_files(site, "no")) - set(training))
    numbers = [training[0].removesuffix(".png"), training[1], test[0], "never seen"]

    def withdraw():
        return withdraw_patients(
            site.store, site.key, "north", numbers, author="a", reason="consent", recorded_at="2026-01-01T00:00:00Z"
        )

    assert withdraw() == withdraw() == WithdrawalCounts(patients=4, stored_patients=3, tested_patients=1)
    assert len(list_withdrawals(site.store)) == 1
    assert not any(
        number.encode() in site.store.get(info.key) for info in site.store.list("withdrawals/") for number in numbers
    )
    (site.folder / training[1]).unlink()
    has_prepared_images = prepared_images(site.store.url)
    second = site.ingest()
    assert not second.reused
    assert not has_prepared_images()
    assert len(_training(site, second)) == len(_training(site, first)) - 2
    assert (second.counts["withdrawn"], second.changed_patients["withdrawn"]) == (3, 3)
    assert second.counts["withdrawn_test_cases"] == 1
    assert second.test_set == first.test_set
    assert any("testset issue --site north" in notice for notice in second.notices)
    test_set = snapshots.issue_test_set(site.config, site.store, site.key, 1)
    assert len(test_set.samples) == first.counts["test"] - 1
    assert "withdrawn_test_cases" not in site.ingest().counts
    new_key = b"another key of 32 characters ...."
    snapshots.replace_key(site.config, site.store, new_key, 1)
    site.key = new_key
    assert len(_training(site, site.ingest())) == len(_training(site, first)) - 2


def test_a_shrunken_source_or_a_lost_class_holds_and_goes_on_by_itself(site):
    first = site.ingest()
    files = {path: path.read_bytes() for path in site.folder.rglob("*.png")}
    for path in (site.folder / "yes").iterdir():
        path.unlink()
    held = site.ingest()
    assert "no longer lists 45%" in held.hold
    assert "no sample of the class 'yes'" in held.hold
    assert site.ingest().hold == held.hold, "the held listing is not the measure of the next one"
    assert site.ingest().reused
    wrong = [site.png(f"no/wrong{number}.png") for number in range(5)]
    assert site.ingest().hold
    for path in wrong:
        path.unlink()
    accepted = site.ingest(maximum_shrink_share=1.0)
    assert (accepted.hold, accepted.snapshot) == ("", first.snapshot)
    assert not site.ingest().hold, "the field may be put back"
    for path, content in files.items():
        path.write_bytes(content)
    back = site.ingest()
    assert (back.hold, back.snapshot, back.counts.get("carried_forward")) == ("", first.snapshot, None)


def test_killed_between_any_two_writes_it_carries_the_same_samples_forward(site, monkeypatch):
    site.ingest()
    for name in _files(site, "no")[:8]:
        (site.folder / name).unlink()
    site.png("no/new.png")
    store_type, kills = type(site.store), 0
    writers = {name: getattr(store_type, name) for name in ("put", "put_if_absent")}

    def dying(write, calls, limit):
        def call(self, key, data):
            calls.append(key)
            if len(calls) > limit:
                raise KeyboardInterrupt
            return write(self, key, data)

        return call

    while True:
        calls = []
        for name, write in writers.items():
            monkeypatch.setattr(store_type, name, dying(write, calls, kills))
        try:
            result = site.ingest()
            break
        except KeyboardInterrupt:
            kills += 1
    monkeypatch.undo()
    listing = read_last_listing(site.store)
    assert kills > 3
    assert (listing.number, listing.snapshot) == (2, result.snapshot)
    assert (result.counts["carried_forward"], len(listing.unlisted)) == (6, 8), "training samples, and all of them"
    assert site.ingest() == replace(result, reused=True)


def test_ten_growing_snapshots_have_what_one_has(make_site):
    grown, whole = make_site("grown"), make_site("whole")
    whole.config = replace(grown.config, source=whole.config.source)
    for step in range(10):
        for number in range(6):
            for label in ("no", "yes"):
                name = f"{label}/{step}-{number}.png"
                whole.png(name, np.asarray(grown.image()))
                (grown.folder / label).mkdir(exist_ok=True)
                (grown.folder / name).write_bytes((whole.folder / name).read_bytes())
        result = grown.ingest(maximum_shrink_share=1.0)
        for path in grown.folder.rglob("*.png") if step < 9 else ():
            path.unlink()
    complete = whole.ingest()
    unlisted = set(_training(whole, complete).items()) - set(_training(grown, result).items())
    held_out = {each.id for each in grown.manifest(result).samples if each.split not in TRAINING_SPLITS}
    assert {name for name, _ in unlisted} <= held_out
    assert len(_training(grown, result)) > 60


def test_a_lost_image_is_told(site):
    first = site.ingest()
    for name in _training_files(site, first, _files(site, "no"))[:3]:
        (site.folder / name).unlink()
    for info in list(site.store.list("shards/")):
        site.store.delete(info.key)
    second = site.ingest()
    assert len(_training(site, second)) == len(_training(site, first)) - 3
    assert any("3 samples" in notice and "restore them from a backup" in notice for notice in second.notices)


def test_a_table_with_an_unknown_split_names_the_words(table_site):
    table_site.change("images/p0.png", split="removed")
    with pytest.raises(InputError, match="test, withdrawn or nothing; correct"):
        table_site.ingest(labels=replace(TABLE, patients=PatientOrigin.COLUMN))
