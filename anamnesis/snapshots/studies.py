"""Joins files to studies: the images of a study, its target, and the quarantine of images that do not fit."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from anamnesis.imaging import Header, PixelSource
from anamnesis.imaging.errors import FOREIGN_REASONS, ReadErrorReason
from anamnesis.records import SiteConfig, Split, Target, TaskType
from anamnesis.snapshots.body_parts import is_other_body_part
from anamnesis.snapshots.copies import drop_copies
from anamnesis.snapshots.file_names import normalise_file_name, normalise_text
from anamnesis.snapshots.image_annotations import (
    AnnotatedImage,
    ImageAnnotation,
    UnmatchedRow,
    annotate_image,
    strip_image_suffix,
)
from anamnesis.snapshots.label_checks import check_container_labels, check_label_table, lacks_patient
from anamnesis.snapshots.label_tables import LabelTable
from anamnesis.snapshots.missing_identifiers import check_missing_identifiers
from anamnesis.snapshots.patient_conflicts import find_patient_conflicts
from anamnesis.snapshots.quarantine import QuarantineEntry, QuarantineReason, is_quarantined
from anamnesis.snapshots.series import find_incomplete_series, find_scouts, series_quarantine_reason
from anamnesis.snapshots.source_files import SourceFile

_SAYS_NOTHING_OF_SAMPLES = {QuarantineReason.COPY, QuarantineReason.INCOMPLETE_SERIES, *FOREIGN_REASONS}
MASK = "mask"
"""Key of a mask in ``Sample.images``."""


@dataclass(frozen=True, slots=True)
class Study:
    """One study before its images are loaded. It holds the source's identifiers, so it is never stored.

    Attributes:
        files: names below the source, for the quarantine list.
        patient: the source's identifier of the patient.
        study: the source's identifier of the study.
        pixel_sources: modality or ``mask`` -> place of the pixels.
        target: the ground truth, or none yet. For a segmentation it is the mask.
        declared_split: the split that the source declares.
        covariates: numbers by name.
        attributes: the generalised attributes that the site declares.
        is_patient_declared: whether the source has an identifier of the patient; else its DICOM study, or the file,
            counts as a patient.
        image_files: modality -> names of its files, in the order of the paths of its pixel source.
        is_withdrawn: whether the label table withdraws one of its files.
    """

    files: tuple[str, ...]
    patient: str
    study: str
    pixel_sources: Mapping[str, PixelSource]
    target: Target | None = None
    declared_split: Split | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    is_patient_declared: bool = True
    image_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class JoinedStudies:
    """The joined studies of a source.

    Attributes:
        studies: the studies, in the order of their files.
        quarantine_entries: the files and images without a sample.
        ignored_count: number of images with a label of ``labels.ignore``.
        unused: patient and study of the images that the source describes in a way that keeps them out of every sample:
            quarantined and ignored ones; not copies, damaged series and foreign objects.
        unmatched_rows: rows of the label table whose files the source does not have.
    """

    studies: tuple[Study, ...]
    quarantine_entries: tuple[QuarantineEntry, ...]
    ignored_count: int
    unused: frozenset[tuple[str, str]] = frozenset()
    unmatched_rows: tuple[UnmatchedRow, ...] = ()

    @property
    def image_count(self) -> int:
        """Number of images for the site, usable or not, without copies; each slice of a series counts."""
        quarantined_count = sum(map(is_quarantined, self.quarantine_entries))
        return sum(len(study.files) for study in self.studies) + quarantined_count + self.ignored_count


def join_studies(
    config: SiteConfig,
    inspected_files: Iterable[tuple[SourceFile, Sequence[Header]]],
    unreadable_files: Sequence[tuple[SourceFile, QuarantineEntry]],
    label_table: LabelTable | None,
) -> JoinedStudies:
    """Joins inspected files to studies.

    Args:
        config: settings of the site.
        inspected_files: readable files with the headers of their images.
        unreadable_files: the other files; a slice among them makes its series incomplete.
        label_table: the label table, or none when the container has the labels.

    Raises:
        InputError: the label table does not fit the files.
    """
    files = [(file, list(headers)) for file, headers in inspected_files]
    masks = _find_masks([file for file, _ in files])
    mask_keys = {mask.key for mask in masks.values()}
    unused_masks = [] if config.task.type is TaskType.SEGMENTATION else sorted(mask_keys)
    masks = {} if unused_masks else masks
    table_rows = label_table.rows if label_table else None
    annotated_images = [
        AnnotatedImage(file, header, annotate_image(file, header, table_rows))
        for file, headers in files
        if file.key not in mask_keys
        for header in headers
    ]
    annotations = [image.annotation for image in annotated_images]
    if label_table:
        check_label_table(config, label_table, annotations)
    else:
        check_container_labels(config, annotations)
    check_missing_identifiers(config, annotated_images)
    accepted_images, entries = _quarantine_images(config, annotated_images, table_rows or {})
    unique_files, copy_entries = drop_copies(_group_by_file(accepted_images), masks)
    unique_images = [image for file_images in unique_files for image in file_images]
    relevant_images = [image for image in unique_images if not _is_ignored(config, image.annotation)]
    entries += copy_entries
    entries += [QuarantineEntry(key, QuarantineReason.UNUSED_MASK) for key in unused_masks]
    incomplete_series = find_incomplete_series(annotated_images, entries, unreadable_files)
    studies, slice_entries = _join_slices(config, relevant_images, masks, incomplete_series)
    entries += slice_entries
    if len(config.modalities) > 1:
        studies, modality_entries = _join_modalities(config, studies)
        entries += modality_entries
    return JoinedStudies(
        tuple(studies),
        tuple(entries),
        ignored_count=len(unique_images) - len(relevant_images),
        unused=_find_unused(annotated_images, studies, entries),
    )


def _find_unused(
    images: Iterable[AnnotatedImage], studies: Iterable[Study], entries: Iterable[QuarantineEntry]
) -> frozenset[tuple[str, str]]:
    used_names = {file for study in studies for file in study.files}
    used_names |= {entry.file for entry in entries if entry.reason in _SAYS_NOTHING_OF_SAMPLES}
    return frozenset((image.patient, image.annotation.study) for image in images if image.name not in used_names)


def _quarantine_images(
    config: SiteConfig, images: Sequence[AnnotatedImage], table_rows: Mapping[str, ImageAnnotation]
) -> tuple[list[AnnotatedImage], list[QuarantineEntry]]:
    names = {image.file.key: normalise_file_name("".join(image.file.manifest_names[:1])) for image in images}
    name_counts = Counter(names.values())
    conflicting_names = find_patient_conflicts(config, images) if table_rows else set()
    shared_keys = {key for key, name in names.items() if name_counts[name] > 1 and name in table_rows}
    accepted_images, entries = [], []
    for image in images:
        reason = _image_quarantine_reason(config, image.header, image.annotation)
        if image.file.key in shared_keys:
            reason = QuarantineReason.NAME_CONFLICT
        if not reason and image.name in conflicting_names:
            reason = QuarantineReason.PATIENT_CONFLICT
        if reason:
            detail = f"{image.annotation.label} {image.annotation.modality}"
            entries.append(QuarantineEntry(image.name, reason, detail))
        else:
            accepted_images.append(image)
    return accepted_images, entries


def _group_by_file(images: Iterable[AnnotatedImage]) -> list[list[AnnotatedImage]]:
    groups: dict[str, list[AnnotatedImage]] = {}
    for image in images:
        groups.setdefault(image.file.key, []).append(image)
    return list(groups.values())


def _is_ignored(config: SiteConfig, annotation: ImageAnnotation) -> bool:
    label = annotation.label
    return label is not None and str(_class_name(config, label)) in _class_names(config.labels.ignore)


def _image_quarantine_reason(
    config: SiteConfig, header: Header, annotation: ImageAnnotation
) -> QuarantineReason | None:
    if annotation.modality and annotation.modality not in config.modalities:
        return QuarantineReason.OTHER_MODALITY
    if is_other_body_part(config, header):
        return QuarantineReason.OTHER_BODY_PART
    if annotation.is_withdrawn:
        return None
    if annotation.is_ambiguous:
        return QuarantineReason.ROW_CONFLICT
    if lacks_patient(config, annotation):
        return QuarantineReason.NO_PATIENT
    # For other tasks a label is only a domain; labels.ignore uses it.
    if config.task.type is not TaskType.CLASSIFICATION or annotation.label is None or _is_ignored(config, annotation):
        return None
    return (
        None
        if _class_name(config, annotation.label) in _class_names(config.task.classes)
        else QuarantineReason.UNKNOWN_LABEL
    )


def _join_slices(
    config: SiteConfig,
    images: Sequence[AnnotatedImage],
    masks: Mapping[str, SourceFile],
    incomplete_series: Mapping[str, str],
) -> tuple[list[Study], list[QuarantineEntry]]:
    groups: dict[str, list[AnnotatedImage]] = {}
    for image in images:
        groups.setdefault(image.header.series or image.name, []).append(image)
    studies: list[Study] = []
    entries: list[QuarantineEntry] = []
    for series, all_members in groups.items():
        scouts = find_scouts(all_members)
        entries += [QuarantineEntry(image.name, ReadErrorReason.LOCALIZER) for image in scouts]
        members = [image for image in all_members if image not in scouts]
        if not members:
            continue
        reason = series_quarantine_reason(members)
        if not reason and series in incomplete_series:
            reason = QuarantineReason.INCOMPLETE_SERIES
        if reason:
            cause = incomplete_series.get(series, "") if reason is QuarantineReason.INCOMPLETE_SERIES else ""
            entries += [QuarantineEntry(image.name, reason, cause=cause) for image in members]
        else:
            studies.append(_make_study(config, members, masks))
    return studies, entries


def _find_masks(files: Sequence[SourceFile]) -> dict[str, SourceFile]:
    """Returns image file -> its mask, the file ``<name>_mask.<suffix>`` in the same folder."""
    stems = {file.key: normalise_text(strip_image_suffix(file.key)) for file in files}
    files_by_stem = {stems[file.key]: file for file in files}
    pairs = ((file.key, files_by_stem.get(f"{stems[file.key]}_mask")) for file in files)
    return {key: mask for key, mask in pairs if mask}


def _class_name(config: SiteConfig, label: str | int) -> str | int:
    """Returns the name of a class; a label that is a number is an index of the task's classes."""
    class_names = _class_names(config.task.classes)
    return class_names[label] if isinstance(label, int) and label < len(class_names) else label


@lru_cache
def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of classes or labels with composed letters."""
    return tuple(map(normalise_text, names))


def make_target(config: SiteConfig, annotation: ImageAnnotation, has_mask: bool = False) -> Target | None:
    """Returns the target that an annotation gives; none without a label, or with one that is not for this task."""
    if annotation.is_withdrawn:
        return None
    if config.task.type is TaskType.CLASSIFICATION and annotation.label is not None:
        class_names = _class_names(config.task.classes)
        name = _class_name(config, annotation.label)
        return Target(index=class_names.index(str(name))) if name in class_names else None
    if config.task.type is TaskType.SEGMENTATION and has_mask:
        return Target(mask=MASK)
    if config.task.type is TaskType.PROGNOSIS and annotation.event is not None and annotation.days is not None:
        return Target(event=annotation.event, days=annotation.days)
    return None


def _make_study(config: SiteConfig, items: Sequence[AnnotatedImage], masks: Mapping[str, SourceFile]) -> Study:
    first_image = items[0]
    header, annotation, mask = first_image.header, first_image.annotation, masks.get(first_image.file.key)
    pixel_sources = {
        annotation.modality or config.modalities[0]: PixelSource(
            tuple(annotated_image.file.path for annotated_image in items), header.member, header.row
        )
    }
    if config.task.type is TaskType.SEGMENTATION and header.mask:
        pixel_sources[MASK] = PixelSource((first_image.file.path,), header.mask, header.row)
    elif config.task.type is TaskType.SEGMENTATION and mask:
        pixel_sources[MASK] = PixelSource((mask.path,))
    files = tuple(item.name for item in items)
    return Study(
        files=files,
        image_files={annotation.modality or config.modalities[0]: files},
        patient=first_image.patient,
        is_patient_declared=bool(annotation.patient),
        study=annotation.study,
        pixel_sources=pixel_sources,
        target=make_target(config, annotation, MASK in pixel_sources),
        declared_split=annotation.split,
        is_withdrawn=any(item.annotation.is_withdrawn for item in items),
        covariates=annotation.covariates,
        attributes={name: header.attributes[name] for name in config.attributes if name in header.attributes},
    )


def _join_modalities(config: SiteConfig, studies: Sequence[Study]) -> tuple[list[Study], list[QuarantineEntry]]:
    """Joins the images of one patient and study to one study, for sites with several modalities."""
    groups: dict[tuple[str, str], list[Study]] = {}
    for study in studies:
        groups.setdefault((study.patient, study.study), []).append(study)
    joined_studies, quarantine_entries = [], []
    for members in groups.values():
        reason = _study_quarantine_reason(config, members)
        if reason:
            quarantine_entries += [QuarantineEntry(file, reason) for member in members for file in member.files]
        else:
            joined_studies.append(_merge_modalities(members))
    return joined_studies, quarantine_entries


def _study_quarantine_reason(config: SiteConfig, members: Sequence[Study]) -> QuarantineReason | None:
    names = [name for member in members for name in member.pixel_sources]
    if len(names) != len(set(names)):
        return QuarantineReason.TWO_IMAGES
    if config.modalities[0] not in names:
        return QuarantineReason.NO_MAIN_IMAGE
    if len({(member.target, member.declared_split) for member in members if member.target}) > 1:
        return QuarantineReason.LABELS_DIFFER
    return None


def _merge_modalities(members: Sequence[Study]) -> Study:
    first = members[0]
    return replace(
        first,
        files=tuple(file for member in members for file in member.files),
        pixel_sources={name: pixel_source for member in members for name, pixel_source in member.pixel_sources.items()},
        image_files={name: files for member in members for name, files in member.image_files.items()},
        target=next((member.target for member in members if member.target), None),
        is_withdrawn=any(member.is_withdrawn for member in members),
        attributes={name: value for member in reversed(members) for name, value in member.attributes.items()},
    )


def find_unmatched_rows(files: Sequence[SourceFile], label_table: LabelTable) -> tuple[UnmatchedRow, ...]:
    """Returns the rows of a label table whose file or folder the source does not have."""
    present_names = {normalise_file_name(name) for file in files for name in file.manifest_names}
    return tuple(
        UnmatchedRow(label_table.names[name], annotation)
        for name, annotation in label_table.rows.items()
        if name not in present_names
    )
