"""One site's data, as it lies there now, to a snapshot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import InputError, Progress, SiteConfig, Split, canonical_json, decode, encode, hex_of, silent
from anamnesis.snapshots.inspection import inspect_source
from anamnesis.snapshots.keys import key_fingerprint, stored_patient
from anamnesis.snapshots.manifest import SnapshotManifest, snapshot_key, write_manifest
from anamnesis.snapshots.parallel import InOrder, in_order
from anamnesis.snapshots.quarantine import Ledger, by_reason
from anamnesis.snapshots.sample_assembly import Candidate, split_of, to_candidates, without_duplicates
from anamnesis.snapshots.source_files import SourceFile, check_apart, fetched, fingerprint, scan
from anamnesis.snapshots.splits import check_sides, choose, sides
from anamnesis.snapshots.store_binding import check_owner, claim_store
from anamnesis.snapshots.testsets import TestSet, check_task, freeze, test_sets
from anamnesis.sources import Item
from anamnesis.storage.store import MissingError, Store

ATTRIBUTES = ("Sex", "AgeBand", "Manufacturer")

_MANY_FILES = 512
_MANY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest gave. Nothing in it names a patient or a file.

    Attributes:
        snapshot: digest.
        test_set: digest of the test set in force.
        fingerprint: of source and settings; equal ones give this result at once.
        key_fingerprint: of the split key.
        counts: samples that are ``train``, ``test``, ``reserve``, ``pending``; studies that are ``left_out`` (by
            ``maximum_studies``); images that are ``ignored`` (by label) or ``quarantined``.
        reasons: how many images each reason for quarantine has.
        modality: the site's main modality: key of the image that a network reads.
        reused: nothing had changed since an earlier ingest.
    """

    snapshot: str
    test_set: str
    fingerprint: str
    key_fingerprint: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    modality: str
    reused: bool = False


def ingest(config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = silent) -> IngestResult:
    """Reads what a site has and writes a snapshot to the site's own store. Killed and repeated, it ends the same.

    Args:
        config: where the data lies and what is asked of it.
        store: the site's own store.
        key: the model's split key.
        workers: processes that read files, where there are many.
        progress: told how far it is.

    Raises:
        InputError: the source, its labels or its splits are not usable; too much of it is broken; the first test set
            would lack a class.
        RefusedError: the store belongs to another site, key or task.
    """
    check_config(config)
    check_apart(config.source, store.url)
    check_owner(store, config.name, key_fingerprint(key))
    listed = scan(config)
    name = fingerprint(config, key_fingerprint(key), listed)
    issued = test_sets(store)
    check_task(issued, config.task)
    if known := _earlier(store, name, issued):
        return known
    store.probe()
    with in_order(workers, _is_much(listed)) as spread, fetched(config.source, listed, progress) as files:
        found, ledger, counts = _read(config, store, key, name, issued, files, spread, progress)
    manifest = _manifest(config, store, key, found)
    result = IngestResult(
        snapshot=write_manifest(store, manifest),
        test_set=manifest.test_set,
        fingerprint=name,
        key_fingerprint=manifest.key_fingerprint,
        counts=manifest.counts() | counts,
        reasons=by_reason(ledger.entries),
        modality=config.modalities[0],
    )
    if scan(config) == listed:  # else a file changed while it was read, and the name would promise too much
        store.put(_result_key(name), canonical_json(encode(result)))
    return result


def recall(config: SiteConfig, store: Store, key: bytes) -> IngestResult | None:
    """Returns what ``ingest`` gave for the source as it lies there now, or none; lists files and reads none.

    Raises:
        InputError: the source cannot be listed.
        RefusedError: the store belongs to another site or key.
    """
    check_config(config)
    check_owner(store, config.name, key_fingerprint(key))
    return _earlier(store, fingerprint(config, key_fingerprint(key), scan(config)), test_sets(store))


def check_config(config: SiteConfig) -> None:
    """Checks what the types of a site's settings leave open.

    Raises:
        InputError: names the field.
    """
    if not config.modalities:
        raise InputError(f"site {config.name!r}: modalities: expected one or more, for example DX")
    if unknown := sorted(set(config.attributes) - set(ATTRIBUTES)):
        raise InputError(f"site {config.name!r}: attributes: {unknown[0]!r} is not one of {', '.join(ATTRIBUTES)}")
    for name in ("test_fraction", "maximum_quarantine_share"):
        if not 0 <= (found := getattr(config, name)) <= 1:
            raise InputError(f"site {config.name!r}: {name}: expected 0 to 1, found {found}")


def _is_much(listed: Sequence[Item]) -> bool:
    return len(listed) > _MANY_FILES or sum(file.size for file in listed) > _MANY_BYTES


def _read(
    config: SiteConfig,
    store: Store,
    key: bytes,
    name: str,
    issued: Sequence[TestSet],
    files: Sequence[SourceFile],
    spread: InOrder,
    progress: Progress,
) -> tuple[list[Candidate], Ledger, dict[str, int]]:
    """From files to candidates whose pixels are stored; what does not get in stands in the ledger."""
    from anamnesis.snapshots.image_loading import (
        store_pixels,  # brings numpy, which who only asks about a site does not need
    )

    joined = inspect_source(config, files, spread, progress)
    if not joined.total:
        raise InputError(f"site {config.name!r}: there is no image among the {len(files)} files of {config.source}")
    ledger = Ledger(store, name, joined.total, config.maximum_quarantine_share, list(joined.quarantined))
    tested = {sample.patient for one in issued for sample in one.samples}
    check_sides(joined.studies, key, config.name, tested, ledger)
    ledger.close()  # before hours of reading: by now a wrong setting shows
    side_of = sides(joined.studies, key, config, tested)
    names = {patient: stored_patient(key, config.name, patient) for patient in side_of}
    taken = choose(joined.studies, side_of, names, config.maximum_studies)
    records = store_pixels(taken, len(config.task.classes), store, ledger, spread, progress)
    candidates = to_candidates(taken, records, side_of, key, config, ledger)
    kept = without_duplicates(candidates, issued, ledger)
    ledger.close()
    left_out = len(joined.studies) - len(taken)
    return kept, ledger, {"ignored": joined.ignored, "left_out": left_out, "quarantined": len(ledger.entries)}


def _manifest(config: SiteConfig, store: Store, key: bytes, found: Sequence[Candidate]) -> SnapshotManifest:
    """The snapshot; a site's first one freezes its first test set."""
    owner = key_fingerprint(key)
    records = sorted((one.record for one in found), key=lambda record: record.id)
    tests = tuple(record for record in records if record.split is Split.TEST)
    issued = test_sets(store) or freeze(store, TestSet(1, config.name, config.task, owner, tests))
    claim_store(store, config.name, owner)
    ids = {sample.id for one in issued for sample in one.samples}
    samples = tuple(split_of(record, ids) for record in records)
    return SnapshotManifest(config.name, config.task, config.modalities, owner, issued[-1].digest, samples)


def _earlier(store: Store, name: str, issued: Sequence[TestSet]) -> IngestResult | None:
    """The result of an earlier ingest of the same files, while its test set is in force and it was not deleted."""
    try:
        known = decode(IngestResult, json.loads(store.get(_result_key(name))), "sources")
    except MissingError:
        return None
    valid = issued and known.test_set == issued[-1].digest and store.exists(snapshot_key(known.snapshot))
    return replace(known, reused=True) if valid else None


def _result_key(name: str) -> str:
    return f"sources/{hex_of(name)}.json"
