"""Data sources of a site: a folder, a bucket, a DICOM server. They list and fetch files, and never open them."""

from anamnesis.sources.base import (
    DataSource,
    IncompleteListError,
    ListingProblem,
    SourceItem,
    count_patients_at_most,
    is_dicom_server,
    open_source,
    parallel_map,
)
from anamnesis.sources.file_source import fetch_label_manifest, find_label_manifest, local_folder

__all__ = [
    "DataSource",
    "IncompleteListError",
    "ListingProblem",
    "SourceItem",
    "count_patients_at_most",
    "fetch_label_manifest",
    "find_label_manifest",
    "is_dicom_server",
    "local_folder",
    "open_source",
    "parallel_map",
]
