"""Joins files to studies: the images of a study, its target, and the quarantine of images that do not fit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from anamnesis.imaging import Header, PixelSource
from anamnesis.records import SiteConfig, Split, Target, TaskType
from anamnesis.snapshots.image_annotations import ImageAnnotation, annotate_image, strip_image_suffix
from anamnesis.snapshots.quarantine import QuarantineEntry, QuarantineReason
from anamnesis.snapshots.source_files import SourceFile

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
    """

    files: tuple[str, ...]
    patient: str
    study: str
    pixel_sources: Mapping[str, PixelSource]
    target: Target | None = None
    declared_split: Split | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JoinedStudies:
    """The joined studies of a source.

    Attributes:
        studies: the studies, in the order of their files.
        quarantine_entries: the quarantined files and images.
        ignored_count: number of images with a label of ``labels.ignore``.
    """

    studies: tuple[Study, ...]
    quarantine_entries: tuple[QuarantineEntry, ...]
    ignored_count: int

    @property
    def image_count(self) -> int:
        """Number of images, usable or not; each slice of a series counts."""
        return sum(len(study.files) for study in self.studies) + len(self.quarantine_entries) + self.ignored_count


@dataclass(frozen=True, slots=True)
class _AnnotatedImage:
    file: SourceFile
    header: Header
    annotation: ImageAnnotation

    @property
    def name(self) -> str:
        row_suffix = f"#{self.header.member}[{self.header.row}]" if self.header.member else ""
        return self.file.key + row_suffix


def join_studies(
    config: SiteConfig,
    inspected_files: Iterable[tuple[SourceFile, Sequence[Header]]],
    manifest: Mapping[str, ImageAnnotation] | None,
) -> JoinedStudies:
    """Joins inspected files to studies.

    Args:
        config: settings of the site.
        inspected_files: readable files with the headers of their images.
        manifest: rows of the label manifest, or none when the container has the labels.
    """
    files = [(file, list(headers)) for file, headers in inspected_files]
    masks = _find_masks([file for file, _ in files])
    mask_keys = {mask.key for mask in masks.values()}
    annotated_images = [
        _AnnotatedImage(file, header, annotate_image(file.key, file.manifest_names, header, manifest))
        for file, headers in files
        if file.key not in mask_keys
        for header in headers
    ]
    relevant_images = [item for item in annotated_images if not _is_ignored(config, item.annotation)]
    rejected_images = [
        (item, reason) for item in relevant_images if (reason := _image_quarantine_reason(config, item.annotation))
    ]
    quarantine_entries = [
        QuarantineEntry(item.name, reason, f"{item.annotation.label} {item.annotation.modality}")
        for item, reason in rejected_images
    ]
    rejected_ids = {id(item) for item, _ in rejected_images}
    studies, slice_entries = _join_slices(
        config, [item for item in relevant_images if id(item) not in rejected_ids], masks
    )
    quarantine_entries += slice_entries
    if len(config.modalities) > 1:
        studies, modality_entries = _join_modalities(config, studies)
        quarantine_entries += modality_entries
    return JoinedStudies(tuple(studies), tuple(quarantine_entries), len(annotated_images) - len(relevant_images))


def _is_ignored(config: SiteConfig, annotation: ImageAnnotation) -> bool:
    return annotation.label is not None and str(_class_name(config, annotation.label)) in config.labels.ignore


def _image_quarantine_reason(config: SiteConfig, annotation: ImageAnnotation) -> QuarantineReason | None:
    if annotation.modality and annotation.modality not in config.modalities:
        return QuarantineReason.OTHER_MODALITY
    # For other tasks a label is only a domain; labels.ignore uses it.
    if config.task.type is not TaskType.CLASSIFICATION or annotation.label is None:
        return None
    return None if _class_name(config, annotation.label) in config.task.classes else QuarantineReason.UNKNOWN_LABEL


def _join_slices(
    config: SiteConfig, items: Sequence[_AnnotatedImage], masks: Mapping[str, SourceFile]
) -> tuple[list[Study], list[QuarantineEntry]]:
    groups: dict[str, list[_AnnotatedImage]] = {}
    for item in items:
        groups.setdefault(item.header.series or item.name, []).append(item)
    studies: list[Study] = []
    quarantine_entries: list[QuarantineEntry] = []
    for members in groups.values():
        if len({(item.annotation.label, item.annotation.patient, item.annotation.split) for item in members}) > 1:
            quarantine_entries += [QuarantineEntry(item.name, QuarantineReason.LABELS_DIFFER) for item in members]
        else:
            studies.append(_make_study(config, members, masks))
    return studies, quarantine_entries


def _find_masks(files: Sequence[SourceFile]) -> dict[str, SourceFile]:
    """Returns image file -> its mask, the file ``<name>_mask.<suffix>`` in the same folder."""
    stems = {strip_image_suffix(file.key): file for file in files}
    pairs = ((file.key, stems.get(f"{strip_image_suffix(file.key)}_mask")) for file in files)
    return {key: mask for key, mask in pairs if mask}


def _class_name(config: SiteConfig, label: str | int) -> str | int:
    """Returns the name of a class; a label that is a number is an index of the task's classes."""
    if isinstance(label, int) and label < len(config.task.classes):
        return config.task.classes[label]
    return label


def _make_target(config: SiteConfig, annotation: ImageAnnotation, has_mask: bool) -> Target | None:
    if config.task.type is TaskType.CLASSIFICATION and annotation.label is not None:
        return Target(index=config.task.classes.index(str(_class_name(config, annotation.label))))
    if config.task.type is TaskType.SEGMENTATION and has_mask:
        return Target(mask=MASK)
    if config.task.type is TaskType.PROGNOSIS and annotation.event is not None and annotation.days is not None:
        return Target(event=annotation.event, days=annotation.days)
    return None


def _make_study(config: SiteConfig, items: Sequence[_AnnotatedImage], masks: Mapping[str, SourceFile]) -> Study:
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
    return Study(
        files=tuple(item.name for item in items),
        patient=annotation.patient,
        study=annotation.study,
        pixel_sources=pixel_sources,
        target=_make_target(config, annotation, MASK in pixel_sources),
        declared_split=annotation.split,
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
        target=next((member.target for member in members if member.target), None),
        attributes={name: value for member in reversed(members) for name, value in member.attributes.items()},
    )


def find_missing_files(files: Sequence[SourceFile], manifest: Mapping[str, ImageAnnotation]) -> list[QuarantineEntry]:
    """Returns the files and folders that a manifest lists, but the source does not have."""
    present_names = {name for file in files for name in file.manifest_names}
    return [QuarantineEntry(name, QuarantineReason.MISSING_FILE) for name in manifest if name not in present_names]
