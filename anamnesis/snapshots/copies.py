"""Copies of one file: equal bytes, or DICOM files with one SOPInstanceUID and equal pixels. They count once.

Copies of different or unknown patients are left to ``sample_assembly``, which knows the images of test sets.
"""

import filecmp
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path

from anamnesis.imaging import ReadError, load_slice
from anamnesis.records import AnamnesisError
from anamnesis.snapshots.image_annotations import AnnotatedImage
from anamnesis.snapshots.quarantine import QuarantineEntry, QuarantineReason
from anamnesis.snapshots.source_files import SourceFile

_SAMPLE_BYTES = 1 << 16

AnnotatedFile = Sequence[AnnotatedImage]
"""The images of one file, of which there is at least one."""


def drop_copies(
    files: Iterable[AnnotatedFile], masks: Mapping[str, SourceFile]
) -> tuple[list[AnnotatedFile], list[QuarantineEntry]]:
    """Returns the files without the copies, in their order, and the entries of copies and of copies in conflict.

    Copies with different labels are a conflict, and all of them are quarantined. A copy without a label or split of its
    own joins the one that has it.

    Args:
        files: the images of each readable file, without masks.
        masks: name of an image file -> its mask.

    Raises:
        AnamnesisError: a file was deleted or became unreadable; the message does not name it.
    """
    all_files = list(files)
    try:
        dropped_files = [row for group in _iter_groups(all_files) for row in _resolve_group(group, masks)]
    except OSError as error:
        raise AnamnesisError(
            f"comparing files of one size failed: {error.strerror}; if files were changed, repeat the ingest"
        ) from None
    dropped_keys = {file_key for file_key, _ in dropped_files}
    entries = [entry for _, entry in dropped_files]
    return [file for file in all_files if file[0].file.key not in dropped_keys], entries


def _iter_groups(files: Sequence[AnnotatedFile]) -> Iterator[list[AnnotatedFile]]:
    """Yields the groups of two or more files with one SOPInstanceUID; or, without one, of one size and equal bytes.

    Some programs write one UID into the files of several patients, so patient, study and series must be equal too.
    """
    groups: dict[tuple[str, object], list[AnnotatedFile]] = defaultdict(list)
    for file in files:
        header = file[0].header
        if header.instance:
            groups["instance", (header.patient, header.study, header.series, header.instance)].append(file)
        elif file[0].annotation.patient:
            groups["size", file[0].file.path.stat().st_size].append(file)
    for (kind, _), members in groups.items():
        if kind == "instance" and len(members) > 1:
            yield members
        elif len(members) > 1:
            yield from _group_by_bytes(members)


def _group_by_bytes(files: Sequence[AnnotatedFile]) -> Iterator[list[AnnotatedFile]]:
    """Yields the groups with equal bytes; reads a file to its end only if the sampled bytes of another are equal."""
    for candidates in _group_by_digest(files, _sample_sha256):
        yield from _group_by_digest(candidates, _file_sha256)


def _group_by_digest(files: Sequence[AnnotatedFile], digest: Callable[[Path], bytes]) -> Iterator[list[AnnotatedFile]]:
    groups: dict[bytes, list[AnnotatedFile]] = defaultdict(list)
    for file in files:
        groups[digest(file[0].file.path)].append(file)
    return (members for members in groups.values() if len(members) > 1)


def _sample_sha256(path: Path) -> bytes:
    size, sha = path.stat().st_size, sha256()
    with path.open("rb") as stream:
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            sha.update(stream.read(_SAMPLE_BYTES))
    return sha.digest()


def _file_sha256(path: Path) -> bytes:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").digest()


def _resolve_group(
    files: Sequence[AnnotatedFile], masks: Mapping[str, SourceFile]
) -> list[tuple[str, QuarantineEntry]]:
    """Returns (file, entry) for each file to drop."""
    dropped_files: list[tuple[str, QuarantineEntry]] = []
    files_by_content: dict[bytes, list[AnnotatedFile]] = defaultdict(list)
    for file, content in zip(files, _read_contents([file[0].file.path for file in files]), strict=True):
        if isinstance(content, ReadError):
            entry = QuarantineEntry(file[0].name, content.reason, content.detail)
            dropped_files.append((file[0].file.key, entry))
        else:
            files_by_content[content].append(file)
    if not files_by_content:
        return []  # the errors are reported where the pixels are loaded
    # Slices with one UID and different pixels are judged by their positions, where they are stacked.
    if len(files_by_content) > 1 and not files[0][0].header.series:
        return dropped_files + _quarantine(chain(*files_by_content.values()), QuarantineReason.INSTANCE_CONFLICT)
    return dropped_files + [row for copies in files_by_content.values() for row in _resolve_copies(copies, masks)]


def _resolve_copies(
    files: Sequence[AnnotatedFile], masks: Mapping[str, SourceFile]
) -> list[tuple[str, QuarantineEntry]]:
    if len({label for file in files if (label := _label(file, masks))}) > 1:
        return _quarantine(files, QuarantineReason.LABEL_CONFLICT)
    copies: list[AnnotatedFile] = []
    owners: list[AnnotatedFile] = []
    for file in sorted(files, key=lambda file: _preference(file, masks)):
        (copies if any(_is_same_study(file, owner) for owner in owners) else owners).append(file)
    return _quarantine(copies, QuarantineReason.COPY)


def _read_contents(paths: Sequence[Path]) -> list[bytes | ReadError]:
    """Returns a digest of the pixels of each file, or its error; reads no pixels where all files have equal bytes."""
    if all(filecmp.cmp(paths[0], path, shallow=False) for path in paths[1:]):
        return [b""] * len(paths)
    return [_read_content(path) for path in paths]


def _read_content(path: Path) -> bytes | ReadError:
    try:
        image = load_slice(path)
    except ReadError as error:
        return error
    return sha256(repr(image.pixels.shape).encode() + image.pixels.tobytes()).digest()


def _label(file: AnnotatedFile, masks: Mapping[str, SourceFile]) -> tuple[object, ...]:
    """Returns everything that describes the target of a file's first image; empty without any."""
    annotation, mask = file[0].annotation, masks.get(file[0].file.key)
    values = (annotation.label, annotation.event, annotation.days, _file_sha256(mask.path) if mask else None)
    return values if any(value is not None for value in values) else ()


def _is_same_study(file: AnnotatedFile, owner: AnnotatedFile) -> bool:
    study = (file[0].annotation.patient, file[0].annotation.study)
    owner_study = (owner[0].annotation.patient, owner[0].annotation.study)
    return study == owner_study and file[0].annotation.split in (None, owner[0].annotation.split)


def _preference(file: AnnotatedFile, masks: Mapping[str, SourceFile]) -> tuple[object, ...]:
    annotation = file[0].annotation  # a copy of a withdrawn file is withdrawn
    return not annotation.is_withdrawn, not _label(file, masks), annotation.split is None, file[0].file.key


def _quarantine(files: Iterable[AnnotatedFile], reason: QuarantineReason) -> list[tuple[str, QuarantineEntry]]:
    return [(file[0].file.key, QuarantineEntry(image.name, reason)) for file in files for image in file]
