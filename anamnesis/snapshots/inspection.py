"""First pass over a source: reads the headers of all files and joins them to studies. It keeps no pixels."""

from collections.abc import Sequence
from dataclasses import replace

from anamnesis.imaging import Header, ReadError, is_image_file, read_headers
from anamnesis.records import InputError, Progress, SiteConfig
from anamnesis.snapshots.image_annotations import ImageAnnotation, read_label_manifest
from anamnesis.snapshots.parallel import OrderedExecutorMap, batched
from anamnesis.snapshots.quarantine import QuarantineEntry
from anamnesis.snapshots.source_files import SourceFile
from anamnesis.snapshots.studies import JoinedStudies, find_missing_files, join_studies

_BATCH_SIZE = 64

InspectedFile = tuple[SourceFile, list[Header] | QuarantineEntry]


def inspect_source(
    config: SiteConfig, files: Sequence[SourceFile], parallel_map: OrderedExecutorMap, progress: Progress
) -> JoinedStudies:
    """Reads the headers of all files and joins them to studies.

    Raises:
        InputError: the label manifest does not exist or is not as expected.
    """
    label_manifest = _read_site_labels(config, files)
    image_files = [file for file in files if file.key != config.labels.manifest]
    readable_files: list[tuple[SourceFile, list[Header]]] = []
    quarantine_entries = find_missing_files(image_files, label_manifest or {}) if not config.labels.is_external else []
    inspected_count = 0
    for batch in parallel_map(inspect_batch, batched(image_files, _BATCH_SIZE)):
        for file, headers in batch:
            if isinstance(headers, QuarantineEntry):
                quarantine_entries.append(headers)
            else:
                readable_files.append((file, headers))
        progress(
            inspected_count := min(inspected_count + _BATCH_SIZE, len(image_files)), len(image_files), "files inspected"
        )
    joined_studies = join_studies(config, readable_files, label_manifest)
    return replace(joined_studies, quarantine_entries=(*joined_studies.quarantine_entries, *quarantine_entries))


def inspect_batch(files: Sequence[SourceFile]) -> list[InspectedFile]:
    """Returns the headers of each file, or the reason for its quarantine; skips files that are not images."""
    inspected_files: list[InspectedFile] = []
    for file in files:
        try:
            if is_image_file(file.key, file.path):
                inspected_files.append((file, read_headers(file.path)))
        except ReadError as error:
            inspected_files.append((file, QuarantineEntry(file.key, error.reason, error.detail)))
    return inspected_files


def _read_site_labels(config: SiteConfig, files: Sequence[SourceFile]) -> dict[str, ImageAnnotation] | None:
    if not config.labels.manifest:
        return None
    manifest_path = next((file.path for file in files if file.key == config.labels.manifest), None)
    if manifest_path is None:
        raise InputError(
            f"site {config.name!r}: labels.manifest: the source has no file {config.labels.manifest!r}; "
            "add it, or correct the path"
        )
    return read_label_manifest(manifest_path)
