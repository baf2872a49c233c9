"""What a source lists now, by pseudonyms: the earlier samples are compared with it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from anamnesis.records import Split
from anamnesis.snapshots.aliases import Pseudonyms
from anamnesis.snapshots.image_annotations import UnmatchedRow
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.sample_assembly import content_digests


@dataclass(frozen=True, slots=True)
class ListedData:
    """What a source lists.

    Attributes:
        studies: pseudonyms of the studies of every readable image, usable or not.
        contents: digests of the images that were read.
        patient_splits: pseudonym -> split of the patients with a usable study.
        disputed_patients: pseudonyms of patients whose studies are quarantined.
        rows: pseudonym of a study -> the rows of the label table whose files the source does not have.
        withdrawn_studies: pseudonyms of listed studies that are withdrawn.
        withdrawn_contents: digests of the images of withdrawn files and patients.
        withdrawn_patients: pseudonyms of patients whom a command withdrew.
    """

    studies: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    patient_splits: Mapping[str, Split] = field(default_factory=dict)
    disputed_patients: frozenset[str] = frozenset()
    rows: Mapping[str, "UnmatchedStudy"] = field(default_factory=dict)
    withdrawn_studies: frozenset[str] = frozenset()
    withdrawn_contents: frozenset[str] = frozenset()
    withdrawn_patients: frozenset[str] = frozenset()

    def lists(self, sample: SampleRecord) -> bool:
        """Whether the source lists the study or an image of a sample: then the source says what becomes of it."""
        return sample.study in self.studies or not self.contents.isdisjoint(content_digests(sample))

    def withdraws(self, sample: SampleRecord) -> bool:
        """Whether a command, a listed file or a row of the label table withdraws a sample."""
        unmatched = self.rows.get(sample.study)
        return (
            sample.patient in self.withdrawn_patients
            or sample.study in self.withdrawn_studies
            or not self.withdrawn_contents.isdisjoint(content_digests(sample))
            or (unmatched is not None and unmatched.is_withdrawn)
        )


@dataclass(frozen=True, slots=True)
class UnmatchedStudy:
    """The rows of the label table about one study whose files the source does not have.

    Attributes:
        patient: pseudonym.
        study: pseudonym.
        rows: the rows.
    """

    patient: str
    study: str
    rows: tuple[UnmatchedRow, ...]

    @property
    def is_withdrawn(self) -> bool:
        """Whether any of the rows withdraws a file: the files are gone, so nothing shows which of the study it was."""
        return any(row.annotation.is_withdrawn for row in self.rows)


def group_rows(rows: Iterable[UnmatchedRow], pseudonyms: Pseudonyms) -> dict[str, UnmatchedStudy]:
    """Returns the rows by the pseudonym of their study."""
    groups: dict[tuple[str, str], list[UnmatchedRow]] = defaultdict(list)
    for row in rows:
        groups[pseudonyms.of_study(row.patient, row.study)].append(row)
    return {study: UnmatchedStudy(patient, study, tuple(members)) for (patient, study), members in groups.items()}


def find_missing_rows(studies: Iterable[UnmatchedStudy], known_pseudonyms: Collection[str]) -> list[UnmatchedRow]:
    """Returns the rows without a file that no earlier sample explains: probably an upload is incomplete.

    Args:
        studies: the rows without files.
        known_pseudonyms: pseudonyms of patients and studies that snapshots and frozen sets have or had.
    """
    return [
        row
        for study in studies
        if study.patient not in known_pseudonyms and study.study not in known_pseudonyms
        for row in study.rows
        if not row.annotation.is_withdrawn
    ]
