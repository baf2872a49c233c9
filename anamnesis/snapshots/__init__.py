"""Snapshots of a site's data: ingest, splits, test sets, quarantine, stored form, and the guard on images."""

from anamnesis.snapshots.guard import Guard, open_calibration_set, open_split, open_splits, open_test_set
from anamnesis.snapshots.ingest_result import IngestResult
from anamnesis.snapshots.ingestion import find_ingest_result, ingest
from anamnesis.snapshots.keys import derive_site_key, key_fingerprint, read_split_key
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord, SnapshotManifest, read_snapshot_manifest
from anamnesis.snapshots.rekey import replace_key
from anamnesis.snapshots.site_keys import read_site_key
from anamnesis.snapshots.test_set_issue import issue_test_set
from anamnesis.snapshots.testsets import current_test_set, list_test_sets
from anamnesis.snapshots.withdrawals import withdraw_patients

__all__ = [
    "Guard",
    "ImageRecord",
    "IngestResult",
    "SampleRecord",
    "SnapshotManifest",
    "current_test_set",
    "derive_site_key",
    "find_ingest_result",
    "ingest",
    "issue_test_set",
    "key_fingerprint",
    "list_test_sets",
    "open_calibration_set",
    "open_split",
    "open_splits",
    "open_test_set",
    "read_site_key",
    "read_snapshot_manifest",
    "read_split_key",
    "replace_key",
    "withdraw_patients",
]
