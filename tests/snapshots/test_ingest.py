import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from anamnesis import snapshots
from anamnesis.records import InputError, LabelOrigin, LabelSource, PatientOrigin, RefusedError, Split, Task, TaskType
from anamnesis.snapshots import source_reading
from anamnesis.storage.store import open_store


def _keys(site, prefix):
    return {info.key for info in site.store.list(prefix)}


def test_images_come_back_as_they_were(site):
    result = site.ingest()
    samples = [*site.samples(result, Split.TRAIN), *site.samples(result, Split.TEST)]
    expected = {np.random.default_rng(n).integers(0, 256, (8, 10), dtype=np.uint8).tobytes() for n in range(1, 61)}
    assert {sample.images["DX"].pixels.tobytes() for sample in samples} == expected
    assert result.counts["train"] + result.counts["test"] == 60
    assert result.modality == "DX"
    manifest = site.manifest(result)
    assert manifest.count_by_split()["train"] == result.counts["train"]
    assert [s.id for s in manifest.samples_of(Split.TRAIN)] == [s.id for s in site.samples(result, Split.TRAIN)]


def test_the_same_files_give_the_same_digest_at_once(site):
    first, second = site.ingest(), site.ingest()
    assert not first.reused
    assert second == replace(first, reused=True)


def test_touched_moved_and_differently_listed_files_give_the_same_digest(site, make_site):
    first = site.ingest()
    for path in site.folder.rglob("*.png"):
        path.touch()
    touched_result = site.ingest()
    assert not touched_result.reused
    assert touched_result.snapshot == first.snapshot
    moved = site.folder.rename(site.folder.with_name("elsewhere"))
    assert site.ingest(source=moved.as_uri()).snapshot == first.snapshot


def test_the_number_of_workers_does_not_matter(site, make_site, monkeypatch):
    first = site.ingest()
    other_site = make_site("north2")
    other_site.config = replace(site.config)
    monkeypatch.setattr(source_reading, "_MANY_FILES", 1)
    steps = []
    result = snapshots.ingest(
        other_site.config,
        other_site.store,
        site.key,
        workers=2,
        progress=lambda completed, total, unit: steps.append((unit, completed, total)),
    )
    assert (result.snapshot, result.test_set) == (first.snapshot, first.test_set)
    assert _keys(other_site, "shards/") == _keys(site, "shards/")
    assert {step[0] for step in steps} == {"files inspected", "images read"}
    assert steps[-1][1] == steps[-1][2]


def test_growth_keeps_splits_and_writes_new_images_only(site):
    first = site.ingest()
    before = _keys(site, "shards/")
    for number in range(30):
        site.png(f"no/new{number}.png")
    grown = site.ingest()
    old, new = site.manifest(first), site.manifest(grown)
    assert grown.test_set == first.test_set
    splits = {record.id: record.split for record in new.samples}
    assert all(splits[record.id] is record.split for record in old.samples)
    assert grown.counts["reserve"] > 0  # later test patients wait
    assert grown.counts["test"] == first.counts["test"]
    added = [json.loads(site.store.get(key)) for key in _keys(site, "shards/") - before if key.endswith(".json")]
    assert sum(len(index["contents"]) for index in added) == 30


def test_racing_ingests_agree_on_the_test_set(site):
    def ingest(extra):
        folder = site.folder.with_name(f"copy{extra}")
        folder.mkdir()
        for path in site.folder.rglob("*.png"):
            (folder / path.parent.name).mkdir(exist_ok=True)
            (folder / path.relative_to(site.folder)).write_bytes(path.read_bytes())
        for number in range(extra * 5):
            (folder / "yes" / f"yes{number}.png").unlink()
        return site.ingest(source=folder.as_uri())

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(ingest, range(4)))
    assert len({result.test_set for result in results}) == 1
    assert len({result.snapshot for result in results}) == 4
    assert len(snapshots.list_test_sets(site.store)) == 1


def test_another_key_site_or_task_is_refused(site):
    site.ingest()
    with pytest.raises(RefusedError, match="another key"):
        snapshots.ingest(site.config, site.store, b"x" * 32)
    with pytest.raises(RefusedError, match="store of site 'north', not of 'other'; choose another store"):
        site.ingest(name="other")
    with pytest.raises(RefusedError, match="was frozen for task"):
        site.ingest(task=Task("pneumonia", TaskType.CLASSIFICATION, ("yes", "no")))


def test_labels_are_known_ignored_unknown_or_missing(site):
    site.png("later.png")
    site.png("bad quality/a.png")
    site.png("Rossi/a.png")
    result = site.ingest(labels=LabelSource(ignore=("bad quality",)))
    counts = {name: result.counts[name] for name in ("pending", "ignored", "quarantined")}
    assert counts == {"pending": 1, "ignored": 1, "quarantined": 1}
    assert site.quarantine() == {"Rossi/a.png": "the label is not one of the task's classes"}
    (pending,) = site.samples(result, Split.PENDING)
    assert pending.target is None


def test_the_first_test_set_needs_every_class(make_site):
    site = make_site(classes=("no", "yes", "maybe"))
    for number in range(20):
        site.png(f"no/{number}.png")
        site.png(f"yes/{number}.png")
    with pytest.raises(InputError, match=r"test set 1 has no case of class 'maybe' \(\d+ cases\); wait"):
        site.ingest()
    assert not _keys(site, "testsets/") | _keys(site, "snapshots/") | _keys(site, "keys/")
    for number in range(60):
        site.png(f"maybe/{number}.png")
    assert site.ingest().counts["test"] > 2


def test_a_source_without_images_says_so(make_site):
    site = make_site()
    with pytest.raises(InputError, match="the source has no files"):
        site.ingest()
    (site.folder / "notes.txt").write_text("nothing yet")
    with pytest.raises(InputError, match="no image among the 1 files"):
        site.ingest()
    with pytest.raises(InputError, match="the folder does not exist"):
        site.ingest(source="file:///not/there")


def test_images_outside_the_folders_of_classes_say_so(make_site):
    site = make_site()
    site.png("Rossi.png")
    with pytest.raises(InputError, match=r"labels\.from is Container, but none of the 1 images has a label; put the"):
        site.ingest()


def test_a_store_inside_its_source_is_refused(site):
    with pytest.raises(InputError, match=r"is inside the source.*choose a store outside it"):
        snapshots.ingest(site.config, open_store((site.folder / "store").as_uri()), site.key)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": ("Name",)}, "attributes: expected some of .*, found 'Name'"),
        ({"test_fraction": 2.0}, "testFraction: expected 0 to 1, found 2.0"),
        ({"modalities": ()}, "modalities: expected one or more"),
    ],
)
def test_settings_are_checked_by_name(site, changes, message):
    with pytest.raises(InputError, match=message):
        site.ingest(**changes)


def test_manifests_in_csv_and_json_say_the_same(make_site):
    rows = [
        {"file": f"s{n}.png", "label": ("no", "yes")[n % 2], "patient": f"p{n // 2}", "covariate.age": str(n)}
        for n in range(40)
    ]
    rows[7]["label"] = ""
    results = []
    for number, name in enumerate(("labels.csv", "labels.json")):
        site = make_site(f"m{number}", labels=LabelSource(LabelOrigin.MANIFEST, name))
        site.config = replace(site.config, name="m")
        for n in range(40):
            site.png(f"s{n}.png")
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (site.folder / name).write_text(json.dumps(rows) if name.endswith("json") else "\ufeff" + "\n".join(lines))
        results.append(site.ingest())
        assert results[-1].counts["pending"] == 1
        covariates = [record.covariates["age"] for record in site.manifest(results[-1]).samples]
        assert sorted(covariates) == list(range(40))
    assert results[0].snapshot == results[1].snapshot


def test_maximum_studies_is_counted_not_quarantined(site):
    result = site.ingest(maximum_studies=20)
    assert result.counts["left_out"] == 40
    assert result.counts["train"] + result.counts["test"] == 20
    targets = [record.target.index for record in site.manifest(result).samples]
    assert targets.count(0) == targets.count(1) == 10


def test_segmentation_takes_masks_from_files_beside_images(make_site):
    site = make_site(classes=("nucleus",), type=TaskType.SEGMENTATION)
    for number in range(20):
        site.png(f"{number}.png")
        site.png(f"{number}_mask.png", np.where(site.image() > 128, 255, 0).astype(np.uint8))
    site.png("unmarked.png")
    site.png("odd.png")
    site.png("odd_mask.png", np.zeros((3, 3), np.uint8))
    site.png("grey.png")
    site.png("grey_mask.png", np.full_like(site.image(), 7, np.uint8))
    result = site.ingest()
    assert result.counts["pending"] == 1
    assert site.quarantine() == {
        "odd.png": "the mask and its image differ in size",
        "grey.png": "the mask has pixel values that are not classes of the task; correct the mask at the site",
    }
    for sample in site.samples(result, Split.TRAIN):
        mask = sample.images[sample.target.mask]
        assert mask.pixels.shape == sample.images["DX"].pixels.shape
        assert set(np.unique(mask.pixels)) <= {0, 1}


def test_prognosis_takes_event_and_days(make_site):
    labels = LabelSource(LabelOrigin.MANIFEST, "labels.csv", patients=PatientOrigin.FILES)
    site = make_site(classes=(), type=TaskType.PROGNOSIS, labels=labels)
    rows = ["file,event,days"]
    for number in range(20):
        site.png(f"{number}.png")
        rows.append(f"{number}.png,{number % 2},{100 + number}")
    (site.folder / "labels.csv").write_text("\n".join(rows))
    samples = site.samples(site.ingest(), Split.TRAIN)
    assert all(sample.target.event is (sample.target.days % 2 == 1) for sample in samples)
