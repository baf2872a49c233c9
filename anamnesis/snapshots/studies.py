"""Files joined to studies: which images belong together, what is asked of them, and what does not belong here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from anamnesis.imaging import Header, Piece
from anamnesis.records import SiteConfig, Split, Target, TaskType
from anamnesis.snapshots.image_annotations import Annotation, annotate, stem
from anamnesis.snapshots.quarantine import Misfit, Quarantined
from anamnesis.snapshots.source_files import SourceFile

MASK = "mask"
"""The name of a mask among a sample's images."""


@dataclass(frozen=True, slots=True)
class Study:
    """One study on its way into a snapshot. It holds the source's identifiers: it is never stored.

    Attributes:
        files: names below the source, for the quarantine list.
        patient: the source's identifier.
        study: the source's identifier.
        pieces: where the pixels of each image stand: modality, or ``mask``.
        target: the answer, or none yet. That of a segmentation is known from its mask.
        declared: the split that the source declares.
        covariates: numbers by name.
        attributes: the declared banded attributes.
    """

    files: tuple[str, ...]
    patient: str
    study: str
    pieces: Mapping[str, Piece]
    target: Target | None = None
    declared: Split | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Joined:
    """What joining gave.

    Attributes:
        studies: in the order of their files.
        quarantined: what does not belong.
        ignored: how many images were left out on purpose.
    """

    studies: tuple[Study, ...]
    quarantined: tuple[Quarantined, ...]
    ignored: int

    @property
    def total(self) -> int:
        """Images found, usable or not; each slice of a series counts."""
        return sum(len(study.files) for study in self.studies) + len(self.quarantined) + self.ignored


@dataclass(frozen=True, slots=True)
class _Item:
    file: SourceFile
    header: Header
    said: Annotation

    @property
    def name(self) -> str:
        place = f"#{self.header.member}[{self.header.row}]" if self.header.member else ""
        return self.file.key + place


def join(
    config: SiteConfig,
    found: Iterable[tuple[SourceFile, Sequence[Header]]],
    manifest: Mapping[str, Annotation] | None,
) -> Joined:
    """Joins inspected files to studies.

    Args:
        config: modalities, task and labels.
        found: readable files with what each says of its images.
        manifest: its rows, or none where labels stand in the container.
    """
    files = [(file, list(headers)) for file, headers in found]
    masks = _masks([file for file, _ in files])
    beside = {mask.key for mask in masks.values()}
    items = [
        _Item(file, header, annotate(file.key, file.names, header, manifest))
        for file, headers in files
        if file.key not in beside
        for header in headers
    ]
    wanted = [item for item in items if not _is_ignored(config, item.said)]
    misfits = [(item, reason) for item in wanted if (reason := _misfit(config, item.said))]
    quarantined = [
        Quarantined(item.name, reason, f"{item.said.label} {item.said.modality}") for item, reason in misfits
    ]
    strangers = {id(item) for item, _ in misfits}
    images, torn = _join_slices(config, [item for item in wanted if id(item) not in strangers], masks)
    if len(config.modalities) > 1:
        images, more = _join_modalities(config, images)
        torn += more
    return Joined(tuple(images), (*quarantined, *torn), len(items) - len(wanted))


def _is_ignored(config: SiteConfig, said: Annotation) -> bool:
    return said.label is not None and str(_name(config, said.label)) in config.labels.ignore


def _misfit(config: SiteConfig, said: Annotation) -> Misfit | None:
    if said.modality and said.modality not in config.modalities:
        return Misfit.MODALITY
    # Of other tasks a label is a domain, of use for labels.ignore only.
    if config.task.type is not TaskType.CLASSIFICATION or said.label is None:
        return None
    return None if _name(config, said.label) in config.task.classes else Misfit.LABEL


def _join_slices(
    config: SiteConfig, items: Sequence[_Item], masks: Mapping[str, SourceFile]
) -> tuple[list[Study], list[Quarantined]]:
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.header.series or item.name, []).append(item)
    images: list[Study] = []
    quarantined: list[Quarantined] = []
    for members in groups.values():
        if len({(item.said.label, item.said.patient, item.said.split) for item in members}) > 1:
            quarantined += [Quarantined(item.name, Misfit.LABELS_DIFFER) for item in members]
        else:
            images.append(_study(config, members, masks))
    return images, quarantined


def _masks(files: Sequence[SourceFile]) -> dict[str, SourceFile]:
    """Image file -> the file ``<name>_mask.<suffix>`` beside it."""
    stems = {stem(file.key): file for file in files}
    pairs = ((file.key, stems.get(f"{stem(file.key)}_mask")) for file in files)
    return {key: mask for key, mask in pairs if mask}


def _name(config: SiteConfig, label: str | int) -> str | int:
    """A label that is a number without a name counts through the task's classes."""
    if isinstance(label, int) and label < len(config.task.classes):
        return config.task.classes[label]
    return label


def _target(config: SiteConfig, said: Annotation, masked: bool) -> Target | None:
    if config.task.type is TaskType.CLASSIFICATION and said.label is not None:
        return Target(index=config.task.classes.index(str(_name(config, said.label))))
    if config.task.type is TaskType.SEGMENTATION and masked:
        return Target(mask=MASK)
    if config.task.type is TaskType.PROGNOSIS and said.event is not None and said.days is not None:
        return Target(event=said.event, days=said.days)
    return None


def _study(config: SiteConfig, items: Sequence[_Item], masks: Mapping[str, SourceFile]) -> Study:
    first = items[0]
    header, said, mask = first.header, first.said, masks.get(first.file.key)
    pieces = {
        said.modality or config.modalities[0]: Piece(tuple(i.file.path for i in items), header.member, header.row)
    }
    if config.task.type is TaskType.SEGMENTATION and header.mask:
        pieces[MASK] = Piece((first.file.path,), header.mask, header.row)
    elif config.task.type is TaskType.SEGMENTATION and mask:
        pieces[MASK] = Piece((mask.path,))
    return Study(
        files=tuple(item.name for item in items),
        patient=said.patient,
        study=said.study,
        pieces=pieces,
        target=_target(config, said, MASK in pieces),
        declared=said.split,
        covariates=said.covariates,
        attributes={name: header.attributes[name] for name in config.attributes if name in header.attributes},
    )


def _join_modalities(config: SiteConfig, images: Sequence[Study]) -> tuple[list[Study], list[Quarantined]]:
    """Where a site names several modalities, the images of one patient and study are one sample."""
    groups: dict[tuple[str, str], list[Study]] = {}
    for image in images:
        groups.setdefault((image.patient, image.study), []).append(image)
    joined, quarantined = [], []
    for members in groups.values():
        reason = _misfit_together(config, members)
        if reason:
            quarantined += [Quarantined(file, reason) for member in members for file in member.files]
        else:
            joined.append(_merged(members))
    return joined, quarantined


def _misfit_together(config: SiteConfig, members: Sequence[Study]) -> Misfit | None:
    names = [name for member in members for name in member.pieces]
    if len(names) != len(set(names)):
        return Misfit.TWO_IMAGES
    if config.modalities[0] not in names:
        return Misfit.NO_MAIN_IMAGE
    if len({(member.target, member.declared) for member in members if member.target}) > 1:
        return Misfit.LABELS_DIFFER
    return None


def _merged(members: Sequence[Study]) -> Study:
    first = members[0]
    return replace(
        first,
        files=tuple(file for member in members for file in member.files),
        pieces={name: piece for member in members for name, piece in member.pieces.items()},
        target=next((member.target for member in members if member.target), None),
        attributes={name: value for member in reversed(members) for name, value in member.attributes.items()},
    )


def missing_files(files: Sequence[SourceFile], manifest: Mapping[str, Annotation]) -> list[Quarantined]:
    """Returns what a manifest lists and a source with these files does not have, file or folder."""
    there = {name for file in files for name in file.names}
    return [Quarantined(name, Misfit.MISSING) for name in manifest if name not in there]
