"""The listings of a site: the snapshot of each accepted ingest, in order, and what the source did not list then."""

import json
from dataclasses import dataclass

from anamnesis.records import InputError, IntegrityError, canonical_json, decode, encode
from anamnesis.snapshots.manifest import SampleRecord, SnapshotManifest, read_snapshot_manifest
from anamnesis.storage.store import Store

_PREFIX = "listings/"


@dataclass(frozen=True, slots=True)
class Listing:
    """One accepted ingest of a site; the last one is in force. Each is written once.

    Which samples the source lists is not a part of the snapshot: files that leave the source change nothing that a
    model learns, so they give no other digest.

    Attributes:
        number: 1, 2, 3, ...; 0 for the last snapshot of a store that an earlier release wrote.
        fingerprint: of source, settings and withdrawals.
        snapshot: digest of the snapshot.
        unlisted: ids of its samples that the source did not list.
        left: pseudonyms of patients and studies that earlier snapshots had and this one lacks: rows of the label table
            about them are explained.
        schema: schema of this record.
    """

    number: int
    fingerprint: str
    snapshot: str
    unlisted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    schema: int = 1


@dataclass(frozen=True, slots=True)
class EarlierSnapshot:
    """The snapshot in force before an ingest.

    Attributes:
        listing: its listing.
        manifest: its manifest.
    """

    listing: Listing
    manifest: SnapshotManifest

    @property
    def samples(self) -> tuple[SampleRecord, ...]:
        """Its samples, listed or not."""
        return self.manifest.samples


def read_last_listing(store: Store) -> Listing | None:
    """Returns the listing in force, or none before the first ingest.

    Raises:
        IntegrityError: the record was changed.
    """
    keys = [info.key for info in store.list(_PREFIX)]
    if not keys:
        snapshots = list(store.list("snapshots/"))
        if not snapshots:
            return None
        latest = max(snapshots, key=lambda info: (info.modified, info.key))
        digest = latest.key.removeprefix("snapshots/").removesuffix(".json")
        return Listing(0, "", f"sha256:{digest}")
    try:
        return decode(Listing, json.loads(store.get(keys[-1])), "listing")
    except (ValueError, InputError) as error:
        raise IntegrityError(f"{store.url}/{keys[-1]}: the record was changed; restore it from a backup") from error


def read_earlier_snapshot(store: Store) -> EarlierSnapshot | None:
    """Returns the snapshot in force, or none before the first ingest.

    Raises:
        InputError: the snapshot does not exist, or another release wrote it.
        IntegrityError: stored bytes were changed.
    """
    listing = read_last_listing(store)
    return EarlierSnapshot(listing, read_snapshot_manifest(store, listing.snapshot)) if listing else None


def write_listing(store: Store, listing: Listing) -> bool:
    """Writes a listing under its number; returns whether no other process wrote one first."""
    return store.put_if_absent(f"{_PREFIX}{listing.number:020d}.json", canonical_json(encode(listing)))
