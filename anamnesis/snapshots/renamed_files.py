"""Renamed files: an image that an earlier snapshot has keeps its patient and study, whatever its file is called now."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from anamnesis.records import TRAINING_SPLITS, Split
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.sample_assembly import AssembledSample, content_digests

_PATIENT_SPLITS = {Split.TEST, Split.CALIBRATION, *TRAINING_SPLITS}


def recognise_renamed(
    samples: Sequence[AssembledSample], known_samples: Iterable[SampleRecord]
) -> list[AssembledSample]:
    """Returns the samples; those of renamed files have the identity that they had before.

    A file was renamed where its pixels are known, their earlier patient and study are not in the source any more, and
    the source gives the same patient or none. Without an identifier the name of the file was the patient: then patient
    and split are the earlier ones too.

    Args:
        samples: the samples of the ingest.
        known_samples: samples of frozen sets, the latest first, and then of the latest snapshot; the first of equal
            pixels counts.
    """
    owners: dict[tuple[str, ...], SampleRecord] = {}
    for sample in known_samples:
        owners.setdefault(content_digests(sample), sample)
    members_by_content: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, assembled in enumerate(samples):
        members_by_content[content_digests(assembled.record)].append(position)
    recognised = list(samples)
    for contents, positions in members_by_content.items():
        owner = owners.get(contents)
        if owner is None or any(_has_identity(samples[position], owner) for position in positions):
            continue
        renamed = [position for position in positions if _may_be(samples[position], owner)]
        if renamed:
            first = min(renamed, key=lambda position: samples[position].files)
            recognised[first] = _take_identity(samples[first], owner)
    return recognised


def _has_identity(assembled: AssembledSample, owner: SampleRecord) -> bool:
    return (assembled.record.patient, assembled.record.study) == (owner.patient, owner.study)


def _may_be(assembled: AssembledSample, owner: SampleRecord) -> bool:
    return not assembled.is_patient_declared or assembled.record.patient == owner.patient


def _take_identity(assembled: AssembledSample, owner: SampleRecord) -> AssembledSample:
    record = assembled.record
    earlier_split = Split.TEST if owner.split is Split.RESERVE else owner.split
    is_split_known = record.split is not Split.PENDING and earlier_split in _PATIENT_SPLITS
    split = earlier_split if is_split_known else record.split
    return replace(assembled, record=replace(record, patient=owner.patient, study=owner.study, split=split))
