"""Why an update runs on a cluster, and what became of it: what the operator tells the run, and the run the operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class SourceState:
    """What lies at a site's source, as its listing shows it, without a file being read.

    Attributes:
        fingerprint: digest of the listing; equal ones mean that nothing has arrived, changed or gone.
        files: how many files, or instances of a DICOM server.
        patients: at most this many patients; 0 where a listing cannot tell.
    """

    fingerprint: str
    files: int = 0
    patients: int = 0


@dataclass(frozen=True, slots=True)
class UpdateTrigger:
    """What made the operator start an update. A run without one, on a laptop, settles its decision itself.

    Attributes:
        update: name of the ModelUpdate.
        claim: digest that the update was claimed under; its outcome is written under it.
        source_state: what lay at the source.
        counter: raised by a person who asks for an update, whatever was decided before.
        minimum_patients: an ingest that finds fewer new patients ends the update.
    """

    update: str
    claim: str
    source_state: SourceState
    counter: int = 0
    minimum_patients: int = 0


class UpdateResultKind(StrEnum):
    """How a run ended that did its work."""

    CANDIDATE = "Candidate"
    """There is a version to be judged."""
    NO_CHANGE = "NoChange"
    """The champion's lineage has learned these very samples before."""
    TOO_FEW_PATIENTS = "TooFewPatients"


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What a run on a cluster found; written to the registry once, under its claim. The first one counts.

    Attributes:
        trigger: what made it run.
        site: whose data.
        base: digest of the version that it started from; empty for the first.
        configuration: digest of the encoded ``Configuration``.
        kind: how it ended.
        snapshot: digest of what the ingest made.
        test_set: digest of the site's test set in force.
        version: digest of the candidate; empty unless ``kind`` is ``CANDIDATE``.
        new_patients: patients in the training split whom the base's lineage has not learned.
        counts: see ``IngestResult.counts``.
        reasons: see ``IngestResult.reasons``.
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
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    schema: int = 1
