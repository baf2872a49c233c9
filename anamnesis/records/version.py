"""A model version, named by its content, and the write-once record of the update that made it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json


@dataclass(frozen=True, slots=True)
class Version:
    """Immutable weights, method state and lineage. No time, host or cost is in it.

    Attributes:
        base: digest of the version that it was trained from, or none.
        snapshot: digest of what it was trained on, or none for imported weights.
        site: where that snapshot came from.
        configuration: JSON of ``Configuration``.
        parts: part name -> digest of its blob.
        schema: of this record.
    """

    base: str | None
    snapshot: str | None
    site: str
    configuration: Mapping[str, object]
    parts: Mapping[str, str]
    schema: int = 1

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))


@dataclass(frozen=True, slots=True)
class UpdateCost:
    """What an update cost.

    Attributes:
        seconds: wall clock of training, summed over interruptions.
        peak_memory_bytes: peak resident set of the process, or of the device where there is one.
        stored_bytes: all parts of the version.
    """

    seconds: float
    peak_memory_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """Which version an input gave; the first result wins.

    Attributes:
        input_digest: digest of (base, snapshot, configuration, site, task).
        version: digest of the result.
        environment: torch, device, instruction set, threads: equal ones give equal bits.
        cost: see ``Cost``.
        opened_snapshots: digests of every snapshot that training opened.
    """

    input_digest: str
    version: str
    environment: Mapping[str, str]
    cost: UpdateCost
    opened_snapshots: tuple[str, ...]
    schema: int = field(default=1)
