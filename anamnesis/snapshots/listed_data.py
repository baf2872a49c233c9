"""What a source lists now, by pseudonyms: the earlier samples are compared with it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
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
        unused_studies: pseudonyms of studies with an image that is quarantined, ignored or left out.
        study_contents: pseudonym of a study -> digests of its images that were read.
        patient_splits: pseudonym -> split of the patients with a usable study.
        disputed_patients: pseudonyms of patients whose studies are quarantined.
        rows: pseudonym of a study -> the rows of the label table whose files the source does not have.
        withdrawn_studies: pseudonyms of listed studies that are withdrawn.
        withdrawn_contents: digests of the images of withdrawn files and patients.
        withdrawn_patients: pseudonyms of patients whom a command withdrew.
    """

    unused_studies: frozenset[str] = frozenset()
    study_contents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patient_splits: Mapping[str, Split] = field(default_factory=dict)
    disputed_patients: frozenset[str] = frozenset()
    rows: Mapping[str, "UnmatchedStudy"] = field(default_factory=dict)
    withdrawn_studies: frozenset[str] = frozenset()
    withdrawn_contents: frozenset[str] = frozenset()
    withdrawn_patients: frozenset[str] = frozenset()

    @property
    def studies(self) -> frozenset[str]:
        """Pseudonyms of all studies that the source lists."""
        return self.unused_studies.union(self.withdrawn_studies, self.study_contents)

    def find_unlisted(self, earlier_samples: Sequence[SampleRecord]) -> list[SampleRecord]:
        """Returns the labelled samples of which the source lists nothing any more.

        What the source lists counts: an image under any name, and a study of which it lists an image that was not there
        before, because that may be another export of one that is gone. A study of which some images merely left keeps
        them: a rule that deletes old files takes the images of one study one after the other.
        """
        earlier_contents = {content for sample in earlier_samples for content in content_digests(sample)}
        decided_studies = self.unused_studies.union(
            self.withdrawn_studies,
            (study for study, contents in self.study_contents.items() if not contents <= earlier_contents),
        )
        contents = frozenset().union(*self.study_contents.values())
        return [
            sample
            for sample in earlier_samples
            if sample.split is not Split.PENDING
            and sample.study not in decided_studies
            and contents.isdisjoint(content_digests(sample))
        ]

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
