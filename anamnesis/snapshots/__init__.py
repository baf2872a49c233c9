"""Makes snapshots of a site's data: splits, test sets, quarantine, on-disk format, and the guarded way to images."""

from anamnesis.snapshots.guard import Guard, open_split, open_test_set
from anamnesis.snapshots.ingestion import IngestResult, ingest, recall
from anamnesis.snapshots.keys import key_fingerprint, split_key
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord, SnapshotManifest, read_manifest
from anamnesis.snapshots.testsets import current_test_set, issue_test_set, test_sets

__all__ = [
    "Guard",
    "ImageRecord",
    "IngestResult",
    "SampleRecord",
    "SnapshotManifest",
    "current_test_set",
    "ingest",
    "issue_test_set",
    "key_fingerprint",
    "open_split",
    "open_test_set",
    "read_manifest",
    "recall",
    "split_key",
    "test_sets",
]
