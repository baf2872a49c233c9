"""Slices of a series: do they belong together, and is one missing?"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from anamnesis.snapshots.image_annotations import AnnotatedImage
from anamnesis.snapshots.quarantine import QuarantineEntry, QuarantineReason, is_quarantined
from anamnesis.snapshots.source_files import SourceFile

_MOST_SCOUTS = 2  # frontal and lateral


def series_quarantine_reason(members: Sequence[AnnotatedImage]) -> QuarantineReason | None:
    """Returns why the slices of one series do not belong together, or none."""
    annotations = [image.annotation for image in members]
    if len({annotation.patient for annotation in annotations}) > 1:
        return QuarantineReason.PATIENTS_DIFFER
    if len({annotation.label for annotation in annotations}) > 1:
        return QuarantineReason.LABELS_DIFFER
    return QuarantineReason.SPLITS_DIFFER if len({annotation.split for annotation in annotations}) > 1 else None


def find_scouts(members: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Returns the scouts of a series that does not name them: a CT has one or two, in another plane than its slices."""
    scouts = [image for image in members if image.header.is_scout_plane]
    is_few = len(scouts) < len(members) / 2 or (1 < len(scouts) == len(members) <= _MOST_SCOUTS)
    return scouts if is_few else []


def find_incomplete_series(
    images: Sequence[AnnotatedImage],
    entries: Sequence[QuarantineEntry],
    unreadable_files: Sequence[tuple[SourceFile, QuarantineEntry]],
) -> dict[str, str]:
    """Returns the series that surely lost a slice, each with the unusable file.

    A readable slice is quarantined, for example for its label; or an unreadable file is in the folder of the series, is
    of its kind, and the folder holds no other series.

    On a DICOM server the series of an unreadable instance is known. Where a folder holds several series, the gap that
    a lost slice leaves shows it, when the pixels are stacked.
    """
    series_by_folder: dict[tuple[str, str], set[str]] = defaultdict(set)
    for image in images:
        series_by_folder[_folder_and_suffix(image.file)].add(image.header.series)
    files_by_folder = {_folder_and_suffix(file): file.key for file, entry in unreadable_files if is_quarantined(entry)}
    quarantined_names = {
        entry.file for entry in entries if is_quarantined(entry) and isinstance(entry.reason, QuarantineReason)
    }
    lost_slices = {image.header.series: image.name for image in images if image.name in quarantined_names}
    return lost_slices | {
        series: file
        for folder, file in files_by_folder.items()
        for series in series_by_folder.get(folder, ())
        if series and len(series_by_folder[folder]) == 1
    }


def _folder_and_suffix(file: SourceFile) -> tuple[str, str]:
    return "".join(file.manifest_names[1:2]), PurePosixPath(file.key).suffix.lower()
