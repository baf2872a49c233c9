"""First pass over a source: reads the headers of all files and joins them to studies. It keeps no pixels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from anamnesis.imaging import Header, ReadError, is_image_file, read_headers
from anamnesis.records import InputError, Progress, SiteConfig
from anamnesis.snapshots.file_names import normalise_file_name
from anamnesis.snapshots.label_tables import LabelTable, read_label_table
from anamnesis.snapshots.parallel import OrderedExecutorMap, batched
from anamnesis.snapshots.quarantine import NOT_FOR_THE_SITE, QuarantineEntry, QuarantineReason
from anamnesis.snapshots.source_files import SourceFile
from anamnesis.snapshots.studies import JoinedStudies, find_unmatched_rows, join_studies

_BATCH_SIZE = 64

InspectedFile = tuple[SourceFile, list[Header] | QuarantineEntry]


def inspect_source(
    config: SiteConfig, files: Sequence[SourceFile], parallel_map: OrderedExecutorMap, progress: Progress
) -> JoinedStudies:
    """Reads the headers of all files and joins them to studies.

    Raises:
        InputError: the label manifest does not exist or is not as expected.
    """
    label_file = _find_label_file(config, files)
    label_table = _read_site_labels(config, label_file) if label_file else None
    image_files = [file for file in files if file is not label_file]
    readable_files: list[tuple[SourceFile, list[Header]]] = []
    unreadable_files: list[tuple[SourceFile, QuarantineEntry]] = []
    inspected_count = 0
    inspect = partial(inspect_batch, modalities=config.modalities)
    for batch in parallel_map(inspect, batched(image_files, _BATCH_SIZE)):
        for file, headers in batch:
            if isinstance(headers, QuarantineEntry):
                unreadable_files.append((file, headers))
            else:
                readable_files.append((file, headers))
        progress(
            inspected_count := min(inspected_count + _BATCH_SIZE, len(image_files)), len(image_files), "files inspected"
        )
    joined_studies = join_studies(config, readable_files, unreadable_files, label_table)
    entries = [*joined_studies.quarantine_entries, *(entry for _, entry in unreadable_files)]
    rows = find_unmatched_rows(image_files, label_table) if label_table else ()
    return replace(joined_studies, quarantine_entries=tuple(entries), unmatched_rows=rows)


def inspect_batch(files: Sequence[SourceFile], modalities: Sequence[str] = ()) -> list[InspectedFile]:
    """Returns the headers of each file, or the reason for its quarantine; skips files that are not images.

    Args:
        files: the files.
        modalities: those of the site; a file of another one is not for the site, whether it can be read or not.
    """
    inspected_files: list[InspectedFile] = []
    for file in files:
        if file.problem:
            inspected_files.append((file, QuarantineEntry(file.key, file.problem)))
            continue
        try:
            if is_image_file(file.key, file.path):
                inspected_files.append((file, read_headers(file.path)))
        except ReadError as error:
            inspected_files.append((file, _to_entry(file, error, modalities)))
    return inspected_files


def _to_entry(file: SourceFile, error: ReadError, modalities: Sequence[str]) -> QuarantineEntry:
    is_other = modalities and error.modality and error.modality not in modalities
    is_unread = is_other and error.reason not in NOT_FOR_THE_SITE
    return QuarantineEntry(file.key, QuarantineReason.OTHER_MODALITY if is_unread else error.reason, error.detail)


def _find_label_file(config: SiteConfig, files: Sequence[SourceFile]) -> SourceFile | None:
    """Returns the file of the label table, whatever the form of its name, or none when the container has the labels."""
    if not config.labels.manifest:
        return None
    named_files = {file.key: file for file in files}
    if config.labels.manifest in named_files:
        return named_files[config.labels.manifest]
    name = normalise_file_name(config.labels.manifest)
    label_file = next((file for file in files if normalise_file_name(file.key) == name), None)
    if label_file is None:
        raise InputError(
            f"site {config.name!r}: labels.manifest: the source has no file {config.labels.manifest!r}; "
            "add it, or correct the path"
        )
    return label_file


def _read_site_labels(config: SiteConfig, label_file: SourceFile) -> LabelTable:
    try:
        data = label_file.path.read_bytes()
    except OSError as error:
        raise InputError(
            f"site {config.name!r}: labels.manifest: reading the table failed: {error.strerror}; "
            "check the file and its permissions"
        ) from None
    return read_label_table(config.labels.manifest, data, config.labels, config.task)
