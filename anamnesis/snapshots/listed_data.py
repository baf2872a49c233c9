"""What a source lists now, by pseudonyms: the earlier samples are compared with it."""

from collections.abc import Iterable, Mapping, Sequence
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
        rows: pseudonym of a study -> the row of the label table whose file the source does not have.
        withdrawn_studies: pseudonyms of listed studies that are withdrawn.
        withdrawn_contents: digests of the images of withdrawn files and patients.
        withdrawn_patients: pseudonyms of patients whom a command withdrew.
    """

    studies: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    patient_splits: Mapping[str, Split] = field(default_factory=dict)
    disputed_patients: frozenset[str] = frozenset()
    rows: Mapping[str, "PseudonymousRow"] = field(default_factory=dict)
    withdrawn_studies: frozenset[str] = frozenset()
    withdrawn_contents: frozenset[str] = frozenset()
    withdrawn_patients: frozenset[str] = frozenset()

    def lists(self, sample: SampleRecord) -> bool:
        """Whether the source lists the study or an image of a sample: then the source says what becomes of it."""
        return sample.study in self.studies or not self.contents.isdisjoint(content_digests(sample))

    def withdraws(self, sample: SampleRecord) -> bool:
        """Whether a command, a listed file or a row of the label table withdraws a sample."""
        row = self.rows.get(sample.study)
        return (
            sample.patient in self.withdrawn_patients
            or sample.study in self.withdrawn_studies
            or not self.withdrawn_contents.isdisjoint(content_digests(sample))
            or (row is not None and row.row.annotation.is_withdrawn)
        )


@dataclass(frozen=True, slots=True)
class PseudonymousRow:
    """A row of the label table without a file.

    Attributes:
        patient: pseudonym.
        study: pseudonym.
        row: the row.
    """

    patient: str
    study: str
    row: UnmatchedRow


def pseudonymise_rows(rows: Iterable[UnmatchedRow], pseudonyms: Pseudonyms) -> dict[str, PseudonymousRow]:
    """Returns the rows by the pseudonym of their study."""
    identities = ((pseudonyms.of_study(row.patient, row.study), row) for row in rows)
    return {study: PseudonymousRow(patient, study, row) for (patient, study), row in identities}


def find_missing_rows(
    rows: Mapping[str, PseudonymousRow], earlier_samples: Sequence[SampleRecord], frozen_patients: Iterable[str]
) -> list[UnmatchedRow]:
    """Returns the rows without a file that no earlier sample explains: probably an upload is incomplete."""
    known_patients = {sample.patient for sample in earlier_samples} | set(frozen_patients)
    return [
        row.row for row in rows.values() if row.patient not in known_patients and not row.row.annotation.is_withdrawn
    ]
