"""Where a site's files come from: a folder, a bucket, a DICOM server. Listed and fetched here, never opened."""

from anamnesis.sources.base import Item, Source, is_dicom_server, open_source, patients_at_most, spread
from anamnesis.sources.file_source import local_folder, manifest_item, read_manifest

__all__ = [
    "Item",
    "Source",
    "is_dicom_server",
    "local_folder",
    "manifest_item",
    "open_source",
    "patients_at_most",
    "read_manifest",
    "spread",
]
