"""A snapshot's manifest: everything about its samples but the pixels, which it names by their content."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from anamnesis.records import (
    InputError,
    IntegrityError,
    Split,
    Target,
    Task,
    canonical_json,
    decode,
    digest_bytes,
    digest_hex,
    encode,
)
from anamnesis.storage.store import MissingObjectError, Store


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a sample.

    Attributes:
        content: digest of dtype, shape and pixels; the tensor's name in its shard.
        dtype: uint8, int16, uint16, int32 or float32.
        shape: in the order of ``axes``.
        spacing: millimetres along each spatial axis, 1.0 where unknown.
        axes: ``YX``, ``YXC`` or ``ZYX``.
    """

    content: str
    dtype: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    axes: str


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One sample without its pixels; fields as in ``records.Sample``."""

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
    """What a snapshot is. Its digest is the snapshot's name; where the pixels are stored is no part of it.

    Attributes:
        site: whose data.
        task: what is asked.
        modalities: the site's, the first is the main one.
        key_fingerprint: of the split key.
        test_set: digest of the test set in force.
        samples: sorted by id.
        schema: of this document.
    """

    site: str
    task: Task
    modalities: tuple[str, ...]
    key_fingerprint: str
    test_set: str
    samples: tuple[SampleRecord, ...]
    schema: int = 1

    def samples_of(self, split: Split) -> Iterator[SampleRecord]:
        """Yields the samples of one split, in the order of their ids."""
        return (sample for sample in self.samples if sample.split is split)

    def count_by_split(self) -> dict[str, int]:
        """Returns how many samples each split has."""
        split_counts = Counter(sample.split for sample in self.samples)
        return {split.value: split_counts[split] for split in Split}


def write_snapshot_manifest(store: Store, manifest: SnapshotManifest) -> str:
    """Writes a manifest and returns its digest."""
    data = canonical_json(encode(manifest))
    digest = digest_bytes(data)
    if not store.put_if_absent(snapshot_key(digest), data):
        raise IntegrityError(f"{store.url}: the stored snapshot {digest} differs from its content; was it changed?")
    return digest


def read_snapshot_manifest(store: Store, digest: str) -> SnapshotManifest:
    """Returns the manifest of a snapshot.

    Raises:
        InputError: there is no such snapshot.
        IntegrityError: the stored bytes do not have that digest.
    """
    return decode(SnapshotManifest, read_verified_json(store, snapshot_key(digest), digest), "snapshot")


def snapshot_key(digest: str) -> str:
    """Returns where a snapshot's manifest lies."""
    return f"snapshots/{digest_hex(digest)}.json"


def read_verified_json(store: Store, key: str, digest: str) -> object:
    """Returns the JSON under ``key``, whose bytes must have ``digest``.

    Raises:
        InputError: there is no such object.
        IntegrityError: the bytes do not have that digest.
    """
    try:
        data = store.get(key)
    except MissingObjectError:
        raise InputError(f"{store.url}: there is no {digest} here; ingest the site first, or check the store") from None
    if digest_bytes(data) != digest:
        raise IntegrityError(f"{store.url}/{key}: the stored bytes do not have the digest that names them")
    document: object = json.loads(data)
    return document
