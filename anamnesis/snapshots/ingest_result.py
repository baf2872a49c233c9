"""The result of an ingest; the store keeps it, and an ingest of equal files, settings and withdrawals returns it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from anamnesis.records import canonical_json, decode, digest_hex, encode
from anamnesis.snapshots.listings import read_last_listing
from anamnesis.snapshots.manifest import snapshot_key
from anamnesis.snapshots.quarantine import quarantine_url
from anamnesis.snapshots.testsets import TestSet
from anamnesis.storage.store import MissingObjectError, Store


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The result of an ingest. It contains no name of a patient or a file.

    Attributes:
        snapshot: digest of the snapshot.
        test_set: digest of the current test set.
        fingerprint: fingerprint of source, settings and withdrawals; an ingest with the same one returns this result
            at once, as long as its listing is in force.
        key_fingerprint: fingerprint of the split key.
        counts: numbers of samples by split; of studies ``left_out`` (by
            ``maximum_studies``); of images ``ignored`` (by label), ``quarantined``, ``foreign`` (not for the site) and
            ``copies`` (of other files); of cases of the test set with ``corrected_test_labels``, of
            ``returned_images``, and of the samples of ``changed_patients``, where there are some.
        reasons: quarantine reason -> number of images.
        foreign_reasons: reason -> number of files and images that are not for the site.
        quarantine_list: URL of the list of these files, in the site's own store.
        modality: main modality of the site: key of the image that a network reads.
        notices: sentences about the splits and about what left the source, for people at the site.
        changed_patients: key of ``counts`` -> number of patients, of ``carried_forward``, ``withdrawn``,
            ``corrected_labels`` and ``withdrawn_test_cases``: counts of fewer than 10 patients leave no site.
        hold: why an update with this snapshot is held, in words that may leave the site; empty where it is not.
        listing: number of the listing in force after this ingest.
        reused: whether this is the result of an earlier ingest, because nothing has changed.
    """

    snapshot: str
    test_set: str
    fingerprint: str
    key_fingerprint: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    modality: str
    foreign_reasons: Mapping[str, int] = field(default_factory=dict)
    quarantine_list: str = ""
    notices: tuple[str, ...] = ()
    changed_patients: Mapping[str, int] = field(default_factory=dict)
    hold: str = ""
    listing: int = 0
    reused: bool = False


def store_result(store: Store, result: IngestResult) -> None:
    """Keeps a result for the next ingest of the same files."""
    store.put(_result_key(result.fingerprint), canonical_json(encode(result)))


def read_stored_result(
    store: Store, source_fingerprint: str, issued_test_sets: Sequence[TestSet]
) -> IngestResult | None:
    """Returns the result of an earlier ingest of the same files, if it is still what an ingest would give.

    Its snapshot must exist, its test set must be in force, and no other ingest may have been accepted since: a snapshot
    has the samples of the one before it.
    """
    try:
        stored_result = decode(IngestResult, json.loads(store.get(_result_key(source_fingerprint))), "sources")
    except MissingObjectError:
        return None
    listing = read_last_listing(store)
    is_valid = (
        issued_test_sets
        and stored_result.test_set == issued_test_sets[-1].digest
        and store.exists(snapshot_key(stored_result.snapshot))
        and listing is not None
        and stored_result.listing == listing.number
        and (bool(stored_result.hold) or listing.fingerprint == source_fingerprint)
    )
    if not is_valid:
        return None
    return replace(stored_result, reused=True, quarantine_list=quarantine_url(store, source_fingerprint))


def _result_key(source_fingerprint: str) -> str:
    return f"sources/{digest_hex(source_fingerprint)}.json"
