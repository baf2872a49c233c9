"""The images of studies that training would take, chosen by the code of the ingest, and the reasons of all others."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anamnesis.imaging import Header
from anamnesis.records import LabelSource, SiteConfig, Task, TaskType
from anamnesis.snapshots.inspection import inspect_batch
from anamnesis.snapshots.quarantine import QuarantineEntry
from anamnesis.snapshots.source_files import SourceFile
from anamnesis.snapshots.studies import Study, join_studies

if TYPE_CHECKING:  # torch is imported where a version is loaded
    from anamnesis.methods import MethodCapabilities

_StudyKey = tuple[str, str]
NOT_CLEAR = "the image has no modality, so the site is not clear; give the option --site"
NOT_READ = "the method of the model reads the first modality of a site alone"
LACKS_MODALITY = "the study lacks an image of another modality that the method of the model reads"


@dataclass(frozen=True, slots=True)
class StudyImages:
    """The images of one study of a patient.

    Attributes:
        modalities: of the images that the network reads; empty where no image can be read.
        images: each an image or a series of each modality, as training would take it.
        left_out: reason -> number of files.
        files: numbers of its files in the order of their names, from 1; in a zip file in the order of the archive.
        sites: names of the sites that take it.
        body_parts: BodyPartExamined of its images; empty where an image has none.
    """

    modalities: tuple[str, ...]
    images: tuple[Study, ...]
    left_out: Mapping[str, int]
    files: tuple[int, ...] = ()
    sites: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one kind of site takes of some files.

    Attributes:
        modalities: those that the network reads.
        sites: names of the sites of this kind.
        images: by study.
        reasons: reasons of the other files, by study.
    """

    modalities: tuple[str, ...]
    sites: tuple[str, ...]
    images: Mapping[_StudyKey, list[Study]]
    reasons: Mapping[_StudyKey, Counter[str]]


def choose_images(
    files: Sequence[SourceFile], sites: Sequence[SiteConfig], capabilities: "MethodCapabilities"
) -> list[StudyImages]:
    """Returns the studies in some files, in the order of their first file.

    A study is read as an image of the first site that takes any of it.

    Args:
        files: readable or not.
        sites: whose rules apply: modality, body part and everything that can be read.
        capabilities: of the method, which reads all modalities of a site or the first.
    """
    readable: list[tuple[SourceFile, list[Header]]] = []
    unreadable: list[tuple[SourceFile, QuarantineEntry]] = []
    key_by_name: dict[str, _StudyKey] = {}
    body_part_by_name: dict[str, str] = {}
    for file, headers in inspect_batch(files):
        if isinstance(headers, QuarantineEntry):
            unreadable.append((file, headers))
            key_by_name[headers.file] = (headers.file, "")
        else:
            readable.append((file, headers))
            key_by_name |= {_image_name(file, header): _study_key(file, header) for header in headers}
            body_part_by_name |= {_image_name(file, header): header.body_part for header in headers}
    readings = [
        _read_as(config, names, readable, unreadable, key_by_name, capabilities.read_modalities(config.modalities))
        for config, names in _distinct_sites(sites)
    ]
    file_numbers = {file.key: number for number, file in enumerate(files, 1)}
    numbers: dict[_StudyKey, set[int]] = defaultdict(set)
    for name, key in key_by_name.items():
        numbers[key].add(file_numbers.get(name) or file_numbers[name.rpartition("#")[0]])
    first_numbers = sorted(numbers, key=lambda key: min(numbers[key]))
    chosen = [replace(_choose_reading(readings, key), files=tuple(sorted(numbers[key]))) for key in first_numbers]
    return [replace(study, body_parts=_body_parts(study, body_part_by_name)) for study in chosen]


def _body_parts(study: StudyImages, body_part_by_name: Mapping[str, str]) -> tuple[str, ...]:
    parts = {body_part_by_name[name] for image in study.images for name in image.files}
    return () if "" in parts else tuple(sorted(parts))


def _choose_reading(readings: Sequence[_Reading], key: _StudyKey) -> StudyImages:
    accepting = [reading for reading in readings if reading.images.get(key)]
    if not accepting:
        return StudyImages((), (), dict(readings[0].reasons.get(key, {})))
    if len({reading.modalities for reading in accepting}) > 1:
        return StudyImages((), (), {NOT_CLEAR: len(accepting[0].images[key])})
    reading, sites = accepting[0], tuple(site for reading in accepting for site in reading.sites)
    return StudyImages(reading.modalities, tuple(reading.images[key]), dict(reading.reasons.get(key, {})), sites=sites)


def _read_as(
    config: SiteConfig,
    sites: tuple[str, ...],
    readable: Sequence[tuple[SourceFile, list[Header]]],
    unreadable: Sequence[tuple[SourceFile, QuarantineEntry]],
    key_by_name: Mapping[str, _StudyKey],
    modalities: tuple[str, ...],
) -> _Reading:
    joined = join_studies(config, readable, unreadable, None)
    images: dict[_StudyKey, list[Study]] = defaultdict(list)
    reasons: dict[_StudyKey, Counter[str]] = defaultdict(Counter)
    for study in joined.studies:
        key = key_by_name[study.files[0]]
        read_sources = {name: study.pixel_sources[name] for name in modalities if name in study.pixel_sources}
        read_files = [file for name in read_sources for file in study.image_files[name]]
        if len(read_sources) < len(modalities):
            reasons[key][LACKS_MODALITY] += len(read_files)
        else:
            images[key].append(replace(study, pixel_sources=read_sources))
        if len(study.files) > len(read_files):
            reasons[key][NOT_READ] += len(study.files) - len(read_files)
    for entry in (*joined.quarantine_entries, *(entry for _, entry in unreadable)):
        reasons[key_by_name[entry.file]][str(entry.reason)] += 1
    return _Reading(modalities, sites, images, reasons)


def _distinct_sites(sites: Sequence[SiteConfig]) -> list[tuple[SiteConfig, tuple[str, ...]]]:
    """Returns one site of each kind with the names of all, without labels: those of a predicted study are unknown."""
    kinds: dict[tuple[object, ...], list[SiteConfig]] = defaultdict(list)
    for config in sites:
        kinds[config.modalities, config.body_parts].append(config)
    changes = {
        "task": Task("prediction", TaskType.PRETRAINING, ()),
        "labels": LabelSource(),
        "attributes": (),
        "maximum_studies_per_patient": 0,  # a limit against wrong splits, and there is no split here
    }
    return [
        (replace(configs[0], **changes), tuple(config.name for config in configs))  # type: ignore[arg-type]
        for configs in kinds.values()
    ]


def _image_name(file: SourceFile, header: Header) -> str:
    return file.key + (f"#{header.member}[{header.row}]" if header.member else "")


def _study_key(file: SourceFile, header: Header) -> _StudyKey:
    name = _image_name(file, header)
    return header.patient or name, header.study or (header.patient if header.member else "") or name
