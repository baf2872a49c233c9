"""The manifest of a snapshot: its text is the canonical JSON of all of it, and equal values are read as one object."""

import json
from pathlib import Path

import pytest

from anamnesis.records import InputError, Split, Target, Task, TaskType, canonical_json, digest_bytes, encode
from anamnesis.snapshots.manifest import (
    ImageRecord,
    SampleRecord,
    SnapshotManifest,
    read_snapshot_manifest,
    snapshot_key,
    write_snapshot_manifest,
)
from anamnesis.storage.store import Store, open_store

TASK = Task('"samples":[]', TaskType.CLASSIFICATION, ("a", '\\"samples\\":[]'))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def manifest_of(count: int) -> SnapshotManifest:
    image = ImageRecord("sha256:1", "int16", (3, 4, 5), (1.0, 0.5, 0.5), "ZYX", ((1.0, 0.0), (0.0, 1.0)), 1)
    samples = tuple(
        SampleRecord(
            f"s{number}",
            "p ü",
            f"t{number}",
            Split.TRAIN,
            {"CT": image, "mask": image},
            Target(number % 2) if number else None,
            {"age": 61.0} if number else {},
            {"Sex": "F"} if number else {},
        )
        for number in range(count)
    )
    return SnapshotManifest("site", TASK, ("CT",), "key", "test", samples)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_manifest_is_its_canonical_json_and_is_read_as_it_was(store: Store, count: int) -> None:
    manifest = manifest_of(count)
    digest = write_snapshot_manifest(store, manifest)
    assert store.get(snapshot_key(digest)) == canonical_json(encode(manifest))
    assert read_snapshot_manifest(store, digest) == manifest


def test_equal_values_of_samples_are_one_object(store: Store) -> None:
    samples = read_snapshot_manifest(store, write_snapshot_manifest(store, manifest_of(4))).samples
    first, last = samples[1], samples[3]
    assert first.target is last.target
    assert first.attributes["Sex"] is last.attributes["Sex"]
    for name in ("dtype", "shape", "spacing", "axes", "affine"):
        assert getattr(first.images["CT"], name) is getattr(last.images["mask"], name)


def test_a_sample_of_another_release_is_named_by_its_schema(store: Store) -> None:
    document = json.loads(canonical_json(encode(manifest_of(1))))
    document["samples"][0]["scanner"] = "x"
    for schema, message in ((9, "found schema 9"), (2, "sample s0: unknown field 'scanner'")):
        data = canonical_json({**document, "schema": schema})
        store.put(snapshot_key(digest_bytes(data)), data)
        with pytest.raises(InputError, match=message):
            read_snapshot_manifest(store, digest_bytes(data))
