"""What the operator says of each resource. Decimals are strings, lists are bounded, and nothing names a patient."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.string_types import Digest, Name, PathSafeName, Sentence
from anamnesis.operator.api.value_types import DecimalString, Timestamp, UniqueBy, UniqueNames

NonNegativeInt = Annotated[int, Field(ge=0)]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), UniqueBy(("type",))]
RunIdentifier = Annotated[str, StringConstraints(max_length=512)]


class ResourceStatus(StatusModel):
    """The head of every status."""

    observed_generation: NonNegativeInt = 0
    """The generation of the spec that all this speaks of."""
    conditions: Conditions = ()
    """What is the case, each with a reason and a sentence."""

    def condition(self, condition_type: str) -> Condition | None:
        """Returns the condition of a type, or none."""
        return next((condition for condition in self.conditions if condition.type == condition_type), None)

    def is_true(self, condition_type: str) -> bool:
        """Returns whether a condition is there and True."""
        condition = self.condition(condition_type)
        return condition is not None and condition.status == "True"


class SourceStatus(StatusModel):
    """What lies at a site's source, as its listing shows it."""

    fingerprint: Digest
    """Digest of the listing: it differs when the data does."""
    files: NonNegativeInt = 0
    """Files, or instances."""
    patients: NonNegativeInt = 0
    """Patients, where the listing tells them apart; otherwise 0."""
    last_change_time: Timestamp
    """When the listing last differed from the one before."""
    cursor: Annotated[str, StringConstraints(max_length=256)] = ""
    """Where the source's feed of changes was read to."""


class SiteStatus(ResourceStatus):
    """What the operator says of the site. Condition: ``Readable`` (False: why the source cannot be listed)."""

    source: SourceStatus | None = None
    last_poll_time: Timestamp | None = None
    """When the source was last looked at."""


class LogHead(StatusModel):
    """The last entry of the registry's log: with it, a cut or rewritten log is found."""

    number: NonNegativeInt
    """Number of the entry."""
    digest: Digest
    """Digest of the entry, which holds that of the entry before."""


class Score(StatusModel):
    """The primary metric on one set of cases."""

    value: DecimalString
    """The estimate."""
    low: DecimalString | None = None
    """Lower bound of its 95 % interval."""
    high: DecimalString | None = None
    """Upper bound of its 95 % interval."""
    cases: NonNegativeInt = 0
    """How many cases it was measured on."""


class TaskStatus(StatusModel):
    """How the champion does on the task of one site, and against which limits."""

    site: Name
    """The site."""
    task: PathSafeName
    """Its task."""
    metric: PathSafeName
    """The primary metric."""
    frozen_score: Score | None = None
    """On the site's frozen test set."""
    recent_score: Score | None = None
    """On its recent, newly labelled cases."""
    best_score: DecimalString | None = None
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
    evaluation_time: Timestamp | None = None
    """When the scores were measured."""


class ModelSiteStatus(StatusModel):
    """Where a site stands with the model: a stable word, and a sentence that says what it waits for."""

    name: Name
    """The site."""
    state: PathSafeName
    """Where it stands, in one stable word."""
    message: Sentence = ""
    """What it waits for, and why."""
    quarantined_files: NonNegativeInt = 0
    """Files of its last snapshot that could not be used."""
    samples: NonNegativeInt = 0
    """Samples of its last snapshot."""
    last_learned_time: Timestamp | None = None
    """When its data last came into the champion."""
    answered_request: NonNegativeInt = 0
    """Highest number of an update request that was answered; a new request needs a higher number."""


class DecisionCounts(StatusModel):
    """Entries of the registry's log by kind."""

    promoted: NonNegativeInt = 0
    """Versions that became champion."""
    rejected: NonNegativeInt = 0
    """Versions that the gate or a person refused."""
    superseded: NonNegativeInt = 0
    """Versions whose base was no longer the champion."""
    rolled_back: NonNegativeInt = 0
    """Returns to an earlier champion."""


class EvaluationStatus(StatusModel):
    """Scheduled evaluations: the last that ended, and the one that is due or runs."""

    last_completion_time: Timestamp | None = None
    """When the last one ended."""
    next_due_time: Timestamp | None = None
    """When the next one is due; in the past where one is overdue."""
    run: RunIdentifier = ""
    """The one that runs; empty for none."""


class ContinualModelStatus(ResourceStatus):
    """What the operator says of the model.

    Conditions: ``Ready`` (a champion is in use), ``Progressing`` (an update is under way; otherwise, what each site
    waits for), ``Stalled`` (something needs a person, and what), ``AwaitingApproval``, ``Forgetting``, ``Drifting``,
    ``BackendReachable``.
    """

    champion: Digest | None = None
    """Digest of the version in use."""
    promotion_time: Timestamp | None = None
    """Since when it is in use."""
    log_head: LogHead | None = None
    update: Name | None = None
    """The ModelUpdate in flight."""
    sites: Annotated[tuple[ModelSiteStatus, ...], Field(max_length=64), UniqueNames] = ()
    """The model's sites, in the order in which they joined."""
    tasks: Annotated[tuple[TaskStatus, ...], Field(max_length=64), UniqueBy(("site", "task"))] = ()
    """How the champion does on each task that it learned."""
    decisions: DecisionCounts = DecisionCounts()
    evaluation: EvaluationStatus = EvaluationStatus()

    def site(self, name: str) -> ModelSiteStatus | None:
        """Returns the status of one of the model's sites, or none."""
        return next((site for site in self.sites if site.name == name), None)


class RunStatus(StatusModel):
    """The latest run of an update on its back end."""

    name: RunIdentifier
    """Its name on the back end."""
    id: RunIdentifier
    """Its identifier on the back end."""
    attempt: NonNegativeInt
    """1 for the first."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Cancelled", "Interrupted"]
    """Where it stands."""
    message: Sentence = ""
    """Why it failed."""
    start_time: Timestamp | None = None
    """When it began."""
    completion_time: Timestamp | None = None
    """When it ended."""


class ModelUpdateStatus(ResourceStatus):
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
    new_patients: NonNegativeInt = 0
    """Patients that no snapshot before had."""
    completion_time: Timestamp | None = None
    """When nothing more was to be done."""


class UpdateApprovalStatus(ResourceStatus):
    """What became of the word.

    Condition: ``Recorded`` (True: it stands in the registry's log; False: why it was refused).
    """

    log_entry: NonNegativeInt = 0
    """Number of the entry in the registry's log; 0 for none."""
