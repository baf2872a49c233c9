"""Loaded studies to sample records: stored names, duplicates out, a split for each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import SiteConfig, Split, TaskType, canonical_json, digest_json, encode
from anamnesis.snapshots.keys import stored_patient, stored_study
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord
from anamnesis.snapshots.quarantine import Ledger, Misfit
from anamnesis.snapshots.studies import MASK, Study
from anamnesis.snapshots.testsets import TestSet


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sample record with the files it came from; ``split`` is the patient's side or PENDING."""

    files: tuple[str, ...]
    record: SampleRecord


def to_candidates(
    studies: Sequence[Study],
    images: Sequence[Mapping[str, ImageRecord] | None],
    side_of: Mapping[str, Split],
    key: bytes,
    config: SiteConfig,
    ledger: Ledger,
) -> list[Candidate]:
    """Returns the sample record of each loaded study; identifiers end here.

    Args:
        studies: as taken.
        images: of each study, or none where they failed.
        side_of: TRAIN or TEST by the source's patient identifier.
        key: the split key.
        config: the site's name, task and modalities.
        ledger: takes studies whose mask does not fit.
    """
    found = []
    for study, records in zip(studies, images, strict=True):
        if records is not None and not _mask_fits(records, config.modalities[0]):
            ledger.add(Misfit.MASK, study.files, "image and mask differ in size")
        elif records is not None:
            found.append(Candidate(study.files, _record(study, records, side_of[study.patient], key, config)))
    return found


def _mask_fits(images: Mapping[str, ImageRecord], main: str) -> bool:
    mask, image = images.get(MASK), images.get(main)
    return mask is None or image is None or mask.shape == image.shape[: len(image.axes.removesuffix("C"))]


def _record(
    study: Study, images: Mapping[str, ImageRecord], side: Split, key: bytes, config: SiteConfig
) -> SampleRecord:
    patient = stored_patient(key, config.name, study.patient)
    hashed = stored_study(key, config.name, study.patient, study.study)
    answered = study.target is not None or config.task.type is TaskType.PRETRAINING
    return SampleRecord(
        id=_sample_id(patient, hashed, images, 0),
        patient=patient,
        study=hashed,
        split=side if answered else Split.PENDING,
        images=images,
        target=study.target,
        covariates=study.covariates,
        attributes=study.attributes,
    )


def without_duplicates(candidates: Sequence[Candidate], issued: Sequence[TestSet], ledger: Ledger) -> list[Candidate]:
    """Keeps equal pixels with one patient and study only: a copy elsewhere could stand on the other side of the split.

    What an issued test set holds stays with its owner; else a labelled study comes before one without a label, then
    the order of stored names decides.
    """
    owners = {_contents(sample): (sample.patient, sample.study) for one in issued for sample in one.samples}
    groups: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
    for one in sorted(candidates, key=_rank):
        groups[_contents(one.record)].append(one)
    kept: list[Candidate] = []
    for contents, members in groups.items():
        first = members[0].record
        owner = owners.get(contents, (first.patient, first.study))
        own = [one for one in members if (one.record.patient, one.record.study) == owner]
        others = [one for one in members if (one.record.patient, one.record.study) != owner]
        kept += [_numbered(one, copy) for copy, one in enumerate(own)]
        ledger.add(Misfit.DUPLICATE, (file for one in others for file in one.files))
    return kept


def split_of(record: SampleRecord, issued: Iterable[str]) -> SampleRecord:
    """Returns the record with its split: a case of the test side outside every issued test set waits in reserve.

    Args:
        record: with the patient's side as its split.
        issued: ids of all samples of all issued test sets.
    """
    waits = record.split is Split.TEST and record.id not in issued
    return replace(record, split=Split.RESERVE) if waits else record


def _sample_id(patient: str, study: str, images: Mapping[str, ImageRecord], copy: int) -> str:
    contents = {name: image.content for name, image in images.items() if name != MASK}
    named = {"patient": patient, "study": study, "images": contents}
    return digest_json(named | {"copy": copy} if copy else named)


def _numbered(one: Candidate, copy: int) -> Candidate:
    record = one.record
    return replace(one, record=replace(record, id=_sample_id(record.patient, record.study, record.images, copy)))


def _contents(record: SampleRecord) -> tuple[str, ...]:
    return tuple(image.content for name, image in sorted(record.images.items()) if name != MASK)


def _rank(one: Candidate) -> tuple[object, ...]:
    record = one.record
    return record.target is None, record.patient, record.study, canonical_json(encode(record))
