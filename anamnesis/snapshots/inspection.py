"""First pass over a source: what each file says of its images, joined to studies. No pixel is kept."""

from collections.abc import Sequence
from dataclasses import replace

from anamnesis.imaging import Header, ReadError, inspect, is_image_file
from anamnesis.records import InputError, Progress, SiteConfig
from anamnesis.snapshots.image_annotations import Annotation, read_manifest
from anamnesis.snapshots.parallel import InOrder, batched
from anamnesis.snapshots.quarantine import Quarantined
from anamnesis.snapshots.source_files import SourceFile
from anamnesis.snapshots.studies import Joined, join, missing_files

_BATCH = 64

Inspected = tuple[SourceFile, list[Header] | Quarantined]


def inspect_source(config: SiteConfig, files: Sequence[SourceFile], spread: InOrder, progress: Progress) -> Joined:
    """Inspects all files, then joins them to studies.

    Raises:
        InputError: the manifest of labels is not there or cannot be read.
    """
    said = _read_labels(config, files)
    images = [file for file in files if file.key != config.labels.manifest]
    readable: list[tuple[SourceFile, list[Header]]] = []
    misfits = missing_files(images, said or {}) if not config.labels.outside else []
    done = 0
    for batch in spread(inspect_batch, batched(images, _BATCH)):
        for file, found in batch:
            if isinstance(found, Quarantined):
                misfits.append(found)
            else:
                readable.append((file, found))
        progress(done := min(done + _BATCH, len(images)), len(images), "files inspected")
    joined = join(config, readable, said)
    return replace(joined, quarantined=(*joined.quarantined, *misfits))


def inspect_batch(files: Sequence[SourceFile]) -> list[Inspected]:
    """Returns what each file says of its images, or why it says nothing; what only accompanies images is left out."""
    found: list[Inspected] = []
    for file in files:
        try:
            if is_image_file(file.key, file.path):
                found.append((file, inspect(file.path)))
        except ReadError as error:
            found.append((file, Quarantined(file.key, error.reason, error.detail)))
    return found


def _read_labels(config: SiteConfig, files: Sequence[SourceFile]) -> dict[str, Annotation] | None:
    if not config.labels.manifest:
        return None
    found = next((file.path for file in files if file.key == config.labels.manifest), None)
    if found is None:
        raise InputError(f"site {config.name!r}: labels.manifest: there is no {config.labels.manifest!r} in the source")
    return read_manifest(found)
