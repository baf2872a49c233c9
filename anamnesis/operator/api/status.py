"""What the operator says of each resource. Decimals are strings, lists are bounded, and nothing names a patient."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.base import DecimalString, Digest, Model, Name, Timestamp, Word
from anamnesis.operator.api.conditions import Condition, Sentence

Whole = Annotated[int, Field(ge=0)]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=16)]
Address = Annotated[str, StringConstraints(max_length=512)]


class Status(Model):
    """The head of every status."""

    observed_generation: Whole = 0
    conditions: Conditions = ()


class SourceStatus(Model):
    """What lies at a site's source, as its listing shows it."""

    fingerprint: Digest
    files: Whole = 0
    patients: Whole = 0
    changed: Timestamp
    cursor: Annotated[str, StringConstraints(max_length=256)] = ""


class SiteStatus(Status):
    """Conditions: ``Readable`` (False: why the source cannot be listed)."""

    source: SourceStatus | None = None
    polled: Timestamp | None = None


class LogHead(Model):
    """The last entry of the registry's log: with it, a cut or rewritten log is found."""

    number: Whole
    digest: Digest


class Score(Model):
    """The primary metric on one set of cases: estimate, bounds of its 95 % interval, number of cases."""

    value: DecimalString
    low: DecimalString | None = None
    high: DecimalString | None = None
    cases: Whole = 0


class TaskStatus(Model):
    """How the champion does on the task of one site, and against which limits."""

    site: Name
    task: Word
    metric: Word
    frozen: Score | None = None
    recent: Score | None = None
    best: DecimalString | None = None
    """The best that any promoted version had on this frozen set."""
    floor: DecimalString | None = None
    margin: DecimalString | None = None
    recent_floor: DecimalString | None = None
    saliency: DecimalString | None = None
    saliency_floor: DecimalString | None = None
    evaluated: Timestamp | None = None


class ModelSiteStatus(Model):
    """Where a site stands with the model: a stable word, and a sentence that says what it waits for."""

    name: Name
    state: Word
    message: Sentence = ""
    quarantined: Whole = 0
    samples: Whole = 0
    learned: Timestamp | None = None


class DecisionCounts(Model):
    """Entries of the registry's log by kind."""

    promoted: Whole = 0
    rejected: Whole = 0
    superseded: Whole = 0
    rolled_back: Whole = 0


class EvaluationStatus(Model):
    """Scheduled evaluations: the last that ended, and the one that is due or runs."""

    last: Timestamp | None = None
    next: Timestamp | None = None
    run: Address = ""


class ContinualModelStatus(Status):
    """Conditions, in this order of importance for a person on call.

    ``Ready`` (a champion is in use and nothing needs a person), ``Progressing`` (an update runs), ``AwaitingApproval``,
    ``Forgetting``, ``Drifting``, ``RegistryReachable``, ``BackendReachable``.
    """

    champion: Digest | None = None
    promoted: Timestamp | None = None
    head: LogHead | None = None
    update: Name | None = None
    """The ModelUpdate in flight."""
    sites: Annotated[tuple[ModelSiteStatus, ...], Field(max_length=64)] = ()
    tasks: Annotated[tuple[TaskStatus, ...], Field(max_length=64)] = ()
    decisions: DecisionCounts = DecisionCounts()
    evaluation: EvaluationStatus = EvaluationStatus()


class RunStatus(Model):
    """The latest run of an update on its back end."""

    name: Address
    id: Address
    attempt: Whole
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Cancelled"]
    message: Sentence = ""
    started: Timestamp | None = None
    finished: Timestamp | None = None


class ModelUpdateStatus(Status):
    """Conditions: ``Claimed``, ``RunSucceeded``, ``Decided`` (its reason is the update's state in one word)."""

    run: RunStatus | None = None
    snapshot: Digest | None = None
    version: Digest | None = None
    verdict: Annotated[str, StringConstraints(max_length=32)] = ""
    new_patients: Whole = 0
    finished: Timestamp | None = None


class UpdateApprovalStatus(Status):
    """Conditions: ``Recorded`` (True: it stands in the registry's log; False: why it was refused)."""

    log_entry: Whole = 0
