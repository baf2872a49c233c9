"""A model version, named by its digest, and the record of the update that made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json
from anamnesis.records.signature import Signature


@dataclass(frozen=True, slots=True)
class Version:
    """Weights, method state and lineage of a version. It holds no time, host or cost.

    Attributes:
        base: digest of the version that it was trained from, or none.
        snapshot: digest of the snapshot that it was trained on, or none for imported weights.
        site: the site of that snapshot.
        configuration: JSON of ``Configuration``.
        parts: part name -> digest of its blob.
        training_set: digest of the patients and samples of the snapshot that it was computed from, which the site's own
            store names; none for imported weights.
        schema: schema of this record.
    """

    base: str | None
    snapshot: str | None
    site: str
    configuration: Mapping[str, object]
    parts: Mapping[str, str]
    training_set: str | None = None
    schema: int = 2

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))


class LearningRateOrigin(StrEnum):
    """Where the learning rate of an update comes from."""

    SET = "Set"
    """A person set it."""
    CHOSEN = "Chosen"
    """A range test of this update chose it."""
    KEPT = "Kept"
    """It is that of the base version."""


@dataclass(frozen=True, slots=True)
class UpdateCost:
    """The cost of an update.

    Attributes:
        seconds: wall-clock time of training, summed over interruptions.
        peak_memory_bytes: peak resident set of the process, or peak memory of the device where there is one.
        stored_bytes: size of all parts of the version.
    """

    seconds: float
    peak_memory_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """The version that an update made from its input; the first result counts.

    Attributes:
        input_digest: digest of (base, snapshot, training set, held-out patients, configuration, site, task).
        version: digest of the version.
        environment: torch, device, instruction set, threads; equal environments give equal bits.
        cost: cost of the update.
        opened_snapshots: digests of all snapshots and calibration sets that the update opened.
        signature: of the run; none where the model has no signing keys.
        epoch_losses: mean loss terms of each epoch, for the curves of a report; empty for a closed form, and for fewer
            than 10 training patients.
        learning_rate_losses: learning rate -> mean loss in the range test that chose the rate of the version, none
            where it diverged; empty where no test was made, and for fewer than 10 training patients.
        learning_rate_origin: none for a method without a learning rate.
        schema: schema of this record.
    """

    input_digest: str
    version: str
    environment: Mapping[str, str]
    cost: UpdateCost
    opened_snapshots: tuple[str, ...]
    signature: Signature | None = None
    epoch_losses: tuple[Mapping[str, float], ...] = ()
    learning_rate_losses: Mapping[str, float | None] = field(default_factory=dict)
    learning_rate_origin: LearningRateOrigin | None = None
    schema: int = 5
