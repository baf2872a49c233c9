"""What the operator says of each resource. Decimals are strings, lists are bounded, and nothing names a patient."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import Told
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.string_types import Digest, Name, Sentence, Word
from anamnesis.operator.api.value_types import DecimalString, Timestamp, UniqueBy, UniqueNames

Whole = Annotated[int, Field(ge=0)]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), UniqueBy(("type",))]
Address = Annotated[str, StringConstraints(max_length=512)]


class Status(Told):
    """The head of every status."""

    observed_generation: Whole = 0
    """The generation of the spec that all this speaks of."""
    conditions: Conditions = ()
    """What is the case, each with a reason and a sentence."""

    def condition(self, kind: str) -> Condition | None:
        """Returns the condition of a type, or none."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Returns whether a condition is there and True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"


class SourceStatus(Told):
    """What lies at a site's source, as its listing shows it."""

    fingerprint: Digest
    """Digest of the listing: it differs when the data does."""
    files: Whole = 0
    """Files, or instances."""
    patients: Whole = 0
    """Patients, where the listing tells them apart; otherwise 0."""
    changed: Timestamp
    """When the listing last differed from the one before."""
    cursor: Annotated[str, StringConstraints(max_length=256)] = ""
    """Where the source's feed of changes was read to."""


class SiteStatus(Status):
    """What the operator says of the site. Condition: ``Readable`` (False: why the source cannot be listed)."""

    source: SourceStatus | None = None
    polled: Timestamp | None = None
    """When the source was last looked at."""


class LogHead(Told):
    """The last entry of the registry's log: with it, a cut or rewritten log is found."""

    number: Whole
    """Number of the entry."""
    digest: Digest
    """Digest of the entry, which holds that of the entry before."""


class Score(Told):
    """The primary metric on one set of cases."""

    value: DecimalString
    """The estimate."""
    low: DecimalString | None = None
    """Lower bound of its 95 % interval."""
    high: DecimalString | None = None
    """Upper bound of its 95 % interval."""
    cases: Whole = 0
    """How many cases it was measured on."""


class TaskStatus(Told):
    """How the champion does on the task of one site, and against which limits."""

    site: Name
    """The site."""
    task: Word
    """Its task."""
    metric: Word
    """The primary metric."""
    frozen: Score | None = None
    """On the site's frozen test set."""
    recent: Score | None = None
    """On its recent, newly labelled cases."""
    best: DecimalString | None = None
    """The best that any promoted version had on this frozen set."""
    floor: DecimalString | None = None
    """The least that the gate lets pass."""
    margin: DecimalString | None = None
    """How far below the best the gate lets it fall."""
    recent_floor: DecimalString | None = None
    """Below it, the recent score counts as drift."""
    saliency: DecimalString | None = None
    """Agreement of the saliency maps with those of the version before."""
    saliency_floor: DecimalString | None = None
    """The least agreement that the gate lets pass."""
    evaluated: Timestamp | None = None
    """When the scores were measured."""


class ModelSiteStatus(Told):
    """Where a site stands with the model: a stable word, and a sentence that says what it waits for."""

    name: Name
    """The site."""
    state: Word
    """Where it stands, in one stable word."""
    message: Sentence = ""
    """What it waits for, and why."""
    quarantined: Whole = 0
    """Files of its last snapshot that could not be used."""
    samples: Whole = 0
    """Samples of its last snapshot."""
    learned: Timestamp | None = None
    """When its data last came into the champion."""


class DecisionCounts(Told):
    """Entries of the registry's log by kind."""

    promoted: Whole = 0
    """Versions that became champion."""
    rejected: Whole = 0
    """Versions that the gate or a person refused."""
    superseded: Whole = 0
    """Versions whose base was no longer the champion."""
    rolled_back: Whole = 0
    """Returns to an earlier champion."""


class EvaluationStatus(Told):
    """Scheduled evaluations: the last that ended, and the one that is due or runs."""

    last: Timestamp | None = None
    """When the last one ended."""
    next: Timestamp | None = None
    """When the next one is due; in the past where one is overdue."""
    run: Address = ""
    """The one that runs; empty for none."""


class ContinualModelStatus(Status):
    """What the operator says of the model.

    Conditions: ``Ready`` (a champion is in use), ``Progressing`` (an update is under way; otherwise, what each site
    waits for), ``Stalled`` (something needs a person, and what), ``AwaitingApproval``, ``Forgetting``, ``Drifting``,
    ``BackendReachable``.
    """

    champion: Digest | None = None
    """Digest of the version in use."""
    promoted: Timestamp | None = None
    """Since when it is in use."""
    head: LogHead | None = None
    update: Name | None = None
    """The ModelUpdate in flight."""
    sites: Annotated[tuple[ModelSiteStatus, ...], Field(max_length=64), UniqueNames] = ()
    """The model's sites, in the order in which they joined."""
    tasks: Annotated[tuple[TaskStatus, ...], Field(max_length=64), UniqueBy(("site", "task"))] = ()
    """How the champion does on each task that it learned."""
    decisions: DecisionCounts = DecisionCounts()
    evaluation: EvaluationStatus = EvaluationStatus()


class RunStatus(Told):
    """The latest run of an update on its back end."""

    name: Address
    """Its name on the back end."""
    id: Address
    """Its identifier on the back end."""
    attempt: Whole
    """1 for the first."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Cancelled", "Interrupted"]
    """Where it stands."""
    message: Sentence = ""
    """Why it failed."""
    started: Timestamp | None = None
    """When it began."""
    finished: Timestamp | None = None
    """When it ended."""


class ModelUpdateStatus(Status):
    """What the operator says of the update.

    Conditions: ``Claimed``, ``RunSucceeded``, ``Decided`` (its reason is the update's state in one word).
    """

    run: RunStatus | None = None
    snapshot: Digest | None = None
    """Digest of the data as it was learned."""
    version: Digest | None = None
    """Digest of the candidate: what an UpdateApproval names."""
    verdict: Annotated[str, StringConstraints(max_length=32)] = ""
    """What the gate says of the candidate."""
    new_patients: Whole = 0
    """Patients that no snapshot before had."""
    finished: Timestamp | None = None
    """When nothing more was to be done."""


class UpdateApprovalStatus(Status):
    """What became of the word.

    Condition: ``Recorded`` (True: it stands in the registry's log; False: why it was refused).
    """

    log_entry: Whole = 0
    """Number of the entry in the registry's log; 0 for none."""
