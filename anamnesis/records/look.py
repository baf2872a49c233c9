"""One look at a frozen test set: which version was scored on it, and why."""

from dataclasses import dataclass

from anamnesis.records.signature import Signature

CANDIDATE = "candidate"
"""Purpose of the look that decides on a candidate."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a test set. It is written before the test set is opened.

    Attributes:
        test_set: digest of the test set.
        number: of the look: 1, 2, 3, ...
        version: digest of the version that is scored.
        base: digest of the version that it was trained from; empty for a first version.
        purpose: ``CANDIDATE``, or the name of a scheduled evaluation.
        signature: of the run; none where the model has no signing keys.
        schema: schema of this record.
    """

    test_set: str
    number: int
    version: str
    base: str
    purpose: str
    signature: Signature | None = None
    schema: int = 1
