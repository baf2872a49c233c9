"""What the gate says of a candidate, and the entries of the registry's log."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json


class Verdict(StrEnum):
    """The gate's answers."""

    PROMOTE = "promote"
    AWAIT_EVALUATIONS = "await_evaluations"
    AWAIT_APPROVAL = "await_approval"
    REJECT = "reject"
    SUPERSEDED = "superseded"


class Enforcement(StrEnum):
    """Whether a failed gate stops a version."""

    ENFORCED = "Enforced"
    ADVISORY = "Advisory"
    """The verdict is written down, the version is promoted all the same: for research and demonstrations."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a decision.

    Attributes:
        name: ``floor``, ``forgetting`` or ``saliency``.
        site: whose test set.
        task: the task's name.
        value: what was measured, or none while it is missing.
        limit: what it had to reach (floors) or not to exceed (``forgetting``: best earlier score minus this one).
        passed: none while the value is missing.
    """

    name: str
    site: str
    task: str
    value: Decimal | None
    limit: Decimal
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's verdict on one candidate.

    Attributes:
        verdict: what the gate says.
        candidate: digest of the version judged.
        base: what the candidate was trained from.
        champion: the champion when it was judged.
        criteria: each with value, limit and verdict.
        evaluations: digests of every evaluation judged.
        reason: one sentence for people.
        enforcement: whether the verdict binds.
    """

    verdict: Verdict
    candidate: str
    base: str | None
    champion: str | None
    criteria: tuple[Criterion, ...]
    evaluations: tuple[str, ...]
    reason: str
    enforcement: Enforcement = Enforcement.ENFORCED


class EntryKind(StrEnum):
    """What a log entry records."""

    CLAIM = "claim"
    APPROVE = "approve"
    PROMOTE = "promote"
    REJECT = "reject"
    SUPERSEDE = "supersede"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One link of the hash chain.

    Attributes:
        number: 1, 2, 3, ...
        previous_digest: digest of the entry before; empty for the first.
        nonce: random, of the writer: tells a lost reply from a lost race.
        kind: what happened.
        subject: digest of the version (for a claim: of the claim's content).
        author: an identity; never a patient.
        reason: a reason in words.
        time: UTC, ISO 8601, seconds.
        decision: the decision behind a promotion or rejection; its evaluations are named by digest.
        deadline: for a claim: when it may be superseded, UTC, ISO 8601.
        schema: of this record.
    """

    number: int
    previous_digest: str
    nonce: str
    kind: EntryKind
    subject: str
    author: str
    reason: str
    time: str
    decision: Decision | None = None
    deadline: str = ""
    schema: int = field(default=1)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields: what the next entry points to."""
        return digest_json(encode(self))
