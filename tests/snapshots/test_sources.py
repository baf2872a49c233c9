import zipfile
from dataclasses import replace

import numpy as np
import pytest

from anamnesis import snapshots
from anamnesis.records import LabelOrigin, LabelSource, RefusedError, SiteConfig, Split, Task, TaskType
from anamnesis.sources import ListingProblem
from anamnesis.storage.s3 import S3Store
from anamnesis.storage.store import MissingObjectError, ObjectInfo, open_store

KEY = b"0123456789abcdef0123456789abcdef"
CLASSIFY = TaskType.CLASSIFICATION


@pytest.fixture
def bucket(s3_environment, monkeypatch):
    """A prefix of a real S3 server's bucket, which is in the process's environment."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return "s3://models/a-hospital"


def test_a_bucket_gives_the_same_snapshot_as_a_folder(bucket, site):
    first = site.ingest()
    incoming = open_store(f"{bucket}/arrives")
    for path in sorted(site.folder.rglob("*.png")):
        incoming.put(path.relative_to(site.folder).as_posix(), path.read_bytes())
    store = open_store(f"{bucket}/own")
    config = replace(site.config, source=f"{bucket}/arrives")
    result = snapshots.ingest(config, store, site.key, 1)
    assert (result.snapshot, result.test_set) == (first.snapshot, first.test_set)
    guard = snapshots.Guard({result.snapshot: frozenset({Split.TRAIN})})
    pixels = [sample.images["DX"].pixels for sample in snapshots.open_split(store, result.snapshot, Split.TRAIN, guard)]
    expected = [sample.images["DX"].pixels for sample in site.samples(first, Split.TRAIN)]
    np.testing.assert_array_equal(pixels, expected)
    assert snapshots.ingest(config, store, site.key, 1).reused


def test_a_stray_key_or_a_missing_object_of_a_bucket_does_not_stop_the_rest(bucket, site, monkeypatch):
    incoming = open_store(f"{bucket}/stray")
    for path in sorted(site.folder.rglob("*.png")):
        incoming.put(path.relative_to(site.folder).as_posix(), path.read_bytes())
    list_objects = S3Store.list

    def list_with_stray_key(store, prefix="", after=""):
        stray_objects = [ObjectInfo("/stray.txt", "tag", 4)] if store.url.endswith("/stray") else []
        return iter([*stray_objects, *list_objects(store, prefix, after)])

    read_object = S3Store.get

    def read_all_but_one(store, key):
        if key == "no/no7.png":
            raise MissingObjectError(key)
        return read_object(store, key)

    def refuse(store, key):
        raise RefusedError(key)

    monkeypatch.setattr(S3Store, "list", list_with_stray_key)
    monkeypatch.setattr(S3Store, "get", read_all_but_one)
    result = snapshots.ingest(replace(site.config, source=f"{bucket}/stray"), site.store, site.key, 1)
    assert result.reasons == {ListingProblem.UNREADABLE_NAME: 1, ListingProblem.NOT_RETURNED: 1}
    assert result.counts["train"] + result.counts["validation"] + result.counts["test"] == 59
    monkeypatch.setattr(S3Store, "get", refuse)
    with pytest.raises(RefusedError, match="access to a file or folder was denied; check permissions and credentials"):
        snapshots.ingest(replace(site.config, source=f"{bucket}/stray"), site.store, site.key, 1)
    monkeypatch.setattr(S3Store, "get", read_object)
    complete_result = snapshots.ingest(replace(site.config, source=f"{bucket}/stray"), site.store, site.key, 1)
    assert complete_result.reasons == {ListingProblem.UNREADABLE_NAME: 1}


REAL = [
    ("ct_lung_iqoth", "CT", Task("lung", CLASSIFY, ("normal", "malignant")), LabelSource(ignore=("benign",))),
    ("micro_bloodcell_bccd", "GM", Task("cells", CLASSIFY, ("RBC", "WBC", "Platelets")), LabelSource()),
    ("seg_nuclei_dsb2018", "GM", Task("nuclei", TaskType.SEGMENTATION, ("nucleus",), "Dice"), LabelSource()),
]


@pytest.mark.parametrize(("name", "modality", "task", "labels"), REAL, ids=[row[0] for row in REAL])
def test_real_images_keep_their_declared_split(data_folder, tmp_path, name, modality, task, labels):
    source = (data_folder / name).absolute().as_uri()
    config = SiteConfig(name, source, (modality,), task, labels=labels, maximum_studies=120)
    store = open_store((tmp_path / "store").as_uri())
    result = snapshots.ingest(config, store, KEY)
    assert result.counts["quarantined"] == result.counts["pending"] == 0
    assert sum(result.counts[split] for split in ("train", "validation", "test")) == 120
    assert 0.15 < result.counts["test"] / 120 < 0.3
    with np.load(data_folder / name / "images.npz") as stored:
        tested = {image.tobytes() for image in stored["images"][stored["split"] == 1]}
    guard = snapshots.Guard({result.test_set: frozenset({Split.TEST})})
    cases = list(snapshots.open_test_set(store, result.test_set, guard))
    assert all(case.images[modality].pixels.tobytes() in tested for case in cases)
    assert all((case.target.mask == "mask") == (task.type is TaskType.SEGMENTATION) for case in cases)


def test_a_hospital_study_joins_its_modalities(data_folder, tmp_path):
    folder = tmp_path / "source"
    for patient in ("STS_019", "STS_008"):
        with zipfile.ZipFile(data_folder / "sts_native_sample" / f"{patient}_dicom.zip") as archive:
            archive.extractall(folder, [name for name in archive.namelist() if "/CT/" in name or "/PET/" in name])
    (folder / "labels.csv").write_text("file,label,patient,split\nSTS_019,low,a,train\nSTS_008,high,b,test")
    labels = LabelSource(LabelOrigin.MANIFEST, "labels.csv")
    task = Task("grade", TaskType.PRETRAINING, ())
    config = SiteConfig("mcgill", folder.as_uri(), ("CT", "PT"), task, labels=labels)
    store = open_store((tmp_path / "store").as_uri())
    result = snapshots.ingest(config, store, KEY)
    assert not result.reasons
    assert result.counts["foreign"] == 4  # structure sets
    guard = snapshots.Guard({result.snapshot: frozenset({Split.TRAIN})})
    (sample,) = snapshots.open_split(store, result.snapshot, Split.TRAIN, guard)
    assert {name: image.axes for name, image in sample.images.items()} == {"CT": "ZYX", "PT": "ZYX"}
    assert sample.images["PT"].pixels.dtype == np.float32
    assert sample.images["CT"].pixels.shape[0] == sample.images["PT"].pixels.shape[0]
