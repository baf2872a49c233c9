"""The manifest of a snapshot: all data of its samples except the pixels, which it names by content digest."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from anamnesis.records import (
    InputError,
    IntegrityError,
    Split,
    Target,
    Task,
    decode,
    digest_bytes,
    digest_hex,
    encode_object,
)
from anamnesis.snapshots.sample_records import decode_with_samples, encode_with_samples
from anamnesis.storage.documents import check_schema
from anamnesis.storage.store import MissingObjectError, Store


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a sample.

    Attributes:
        content: digest of dtype, shape and pixels; name of the tensor in its shard.
        dtype: uint8, int16, uint16, int32 or float32.
        shape: in the order of ``axes``.
        spacing: millimetres along each spatial axis, 1.0 where unknown.
        axes: ``YX``, ``YXC`` or ``ZYX``.
        affine: see ``records.Image``.
        slice_axis: see ``records.Image``.
    """

    content: str
    dtype: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    axes: str
    affine: tuple[tuple[float, ...], ...] = ()
    slice_axis: int = 0


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One sample without its pixels; the fields are those of ``records.Sample``."""

    id: str
    patient: str
    study: str
    split: Split
    images: Mapping[str, ImageRecord]
    target: Target | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SnapshotManifest:
    """The manifest of a snapshot. Its digest is the digest of the snapshot and does not depend on shards.

    Attributes:
        site: the site of the data.
        task: the task of the site.
        modalities: modalities of the site; the first one is the main modality.
        key_fingerprint: fingerprint of the split key.
        test_set: digest of the current test set, which names its calibration set.
        samples: the samples, sorted by id.
        schema: schema of this document.
    """

    site: str
    task: Task
    modalities: tuple[str, ...]
    key_fingerprint: str
    test_set: str
    samples: tuple[SampleRecord, ...]
    schema: int = 2

    def samples_of(self, *splits: Split) -> Iterator[SampleRecord]:
        """Yields the samples of some splits, in the order of their ids."""
        return (sample for sample in self.samples if sample.split in splits)

    def count_by_split(self) -> dict[str, int]:
        """Returns the number of samples of each split."""
        split_counts = Counter(sample.split for sample in self.samples)
        return {split.value: split_counts[split] for split in Split}


def write_snapshot_manifest(store: Store, manifest: SnapshotManifest) -> str:
    """Writes a manifest and returns its digest."""
    data = encode_with_samples(encode_object(replace(manifest, samples=())), manifest.samples)
    digest = digest_bytes(data)
    if not store.put_if_absent(snapshot_key(digest), data):
        raise IntegrityError(
            f"{store.url}/{snapshot_key(digest)}: its bytes were changed; delete the object and ingest the site again"
        )
    return digest


def read_snapshot_manifest(store: Store, digest: str) -> SnapshotManifest:
    """Returns the manifest of a snapshot.

    Raises:
        InputError: the snapshot does not exist, or another release wrote it.
        IntegrityError: the stored bytes do not match the digest.
    """
    text = _read_verified(store, snapshot_key(digest), digest).decode()
    location = f"{store.url}/{snapshot_key(digest)}"
    try:
        document = decode_with_samples(text, SampleRecord)
    except InputError:  # another release may have written the samples
        check_schema(SnapshotManifest, json.loads(text).get("schema"), location)
        raise
    check_schema(SnapshotManifest, document.get("schema"), location)
    samples = cast(list[SampleRecord], document.pop("samples", []))
    return replace(decode(SnapshotManifest, {**document, "samples": []}, "snapshot"), samples=tuple(samples))


def snapshot_key(digest: str) -> str:
    """Returns the key of a snapshot's manifest."""
    return f"snapshots/{digest_hex(digest)}.json"


def read_verified_json(store: Store, key: str, digest: str) -> object:
    """Returns the JSON under ``key``, whose bytes must have ``digest``.

    Raises:
        InputError: the object does not exist.
        IntegrityError: the bytes do not match the digest.
    """
    document: object = json.loads(_read_verified(store, key, digest))
    return document


def _read_verified(store: Store, key: str, digest: str) -> bytes:
    try:
        data = store.get(key)
    except MissingObjectError:
        raise InputError(
            f"{store.url}/{key}: the object does not exist; ingest the site first, or correct the store of the site"
        ) from None
    if digest_bytes(data) != digest:
        raise IntegrityError(
            f"{store.url}/{key}: its bytes were changed, they do not match their digest; restore it from a backup"
        )
    return data
