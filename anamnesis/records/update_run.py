"""A run of an update on a cluster: the trigger that the operator passes in, and the result that the run reports."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records.signature import Signature


@dataclass(frozen=True, slots=True)
class SourceState:
    """The state of a site's source according to its listing; no file is read.

    Attributes:
        fingerprint: digest of the listing; equal fingerprints mean that no file was added, changed or deleted.
        files: number of files, or of instances on a DICOM server.
        patients: the largest possible number of patients; 0 where the listing does not show it.
    """

    fingerprint: str
    files: int = 0
    patients: int = 0


@dataclass(frozen=True, slots=True)
class UpdateTrigger:
    """Why the operator started an update. A run without a trigger, on a laptop, records its decision itself.

    Attributes:
        update: name of the ModelUpdate.
        claim: digest of the update's claim; the result is stored under it.
        source_state: the state of the source at the start.
        counter: number of the person's request for an update; a new number starts a new update of the same data.
        minimum_patients: the update ends after the ingest when there are fewer new patients.
    """

    update: str
    claim: str
    source_state: SourceState
    counter: int = 0
    minimum_patients: int = 0


class UpdateResultKind(StrEnum):
    """How a successful run ended."""

    CANDIDATE = "Candidate"
    """The run made a version for the gate."""
    NO_CHANGE = "NoChange"
    """The champion's lineage has already learned the same samples."""
    TOO_FEW_PATIENTS = "TooFewPatients"
    """There were fewer new patients than ``UpdateTrigger.minimum_patients``, or all of them are held back."""
    SOURCE_SHRANK = "SourceShrank"
    """The source no longer lists many of the earlier training samples, or none of a class: nothing is learned."""


CORRECTED_TEST_LABELS = "corrected_test_labels"
"""Key of ``counts``: number of cases of the test set whose label in the source is another one now."""


RETURNED_IMAGES = "returned_images"
"""Key of ``counts``: number of images that are copies of test or calibration patients' images under another name."""


CARRIED_FORWARD = "carried_forward"
"""Key of ``counts``: number of training samples that the source no longer lists, and that are learned as before."""


WITHDRAWN = "withdrawn"
"""Key of ``counts``: number of samples that are left out because their patient or file is withdrawn."""


CORRECTED_LABELS = "corrected_labels"
"""Key of ``counts``: number of training samples with another label than in the snapshot before."""


WITHDRAWN_TEST_CASES = "withdrawn_test_cases"
"""Key of ``counts``: number of cases of the frozen test set that are withdrawn; the next issue leaves them out."""


_CHANGES = {
    CARRIED_FORWARD: "training samples that the source no longer lists stay learned",
    WITHDRAWN: "samples are withdrawn, which versions made before have learned",
    CORRECTED_LABELS: "training samples have another label than before",
    WITHDRAWN_TEST_CASES: "withdrawn cases stay in the frozen test set until the next one is issued",
}


def describe_changes(counts: Mapping[str, int], masked_counts: Collection[str]) -> str:
    """Returns in words what an ingest carried forward, left out as withdrawn, and found corrected; empty for nothing.

    Args:
        counts: see ``UpdateResult.counts``.
        masked_counts: keys of counts of samples of fewer than 10 patients.
    """
    texts = [
        f"{'a few' if name in masked_counts else counts[name]} {text}"
        for name, text in _CHANGES.items()
        if name in masked_counts or counts.get(name)
    ]
    return "; ".join(texts)


@dataclass(frozen=True, slots=True)
class HeldBack:
    """How many patients an update holds back; see ``snapshots.training_selection``.

    The number of each class stays at the site, because a class with one new patient would show that patient's class.

    Attributes:
        patients: number of patients, each counted once for each of their classes.
        classes: number of their classes.
    """

    patients: int = 0
    classes: int = 0


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The result of a run on a cluster; stored in the registry once, under its claim. The first result counts.

    Attributes:
        trigger: why the run was started.
        site: the site of the data.
        base: digest of the version that the run started from; empty for the first.
        configuration: digest of the encoded ``Configuration``.
        kind: how the run ended.
        snapshot: digest of the snapshot that the ingest made.
        test_set: digest of the site's current test set.
        version: digest of the candidate; empty unless ``kind`` is ``CANDIDATE``.
        new_patients: number of patients of the training set that the base's lineage has not learned.
        held_back: how many patients wait until there are enough.
        hold: why the update is held; empty unless ``kind`` is ``SOURCE_SHRANK``.
        counts: see ``IngestResult.counts``; without those of ``masked_counts``.
        masked_counts: keys of counts of samples of fewer than 10 patients, which do not leave the site.
        reasons: see ``IngestResult.reasons``.
        signature: of the run; none where the model has no signing keys.
        schema: schema of this record.
    """

    trigger: UpdateTrigger
    site: str
    base: str
    configuration: str
    kind: UpdateResultKind
    snapshot: str
    test_set: str
    version: str = ""
    new_patients: int = 0
    held_back: HeldBack = field(default_factory=HeldBack)
    hold: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    masked_counts: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    signature: Signature | None = None
    schema: int = 4
