"""The statuses that the operator writes. Decimals are strings, lists are bounded, and nothing identifies a patient."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.scores import NonNegativeInt, Score
from anamnesis.operator.api.string_types import Digest, Name, PathSafeName, Sentence
from anamnesis.operator.api.value_types import DecimalString, Timestamp, UniqueBy, UniqueNames
from anamnesis.records import METRICS, MetricProperties

Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), UniqueBy(("type",))]
RunIdentifier = Annotated[str, StringConstraints(max_length=512)]


class ResourceStatus(StatusModel):
    """Base class of the statuses."""

    observed_generation: Annotated[int, Field(ge=-1, strict=True)] = -1
    """The generation of the spec that this status describes; -1 before the operator has seen the resource."""
    conditions: Conditions = ()
    """Conditions, each with a reason and a message."""

    def condition(self, condition_type: str) -> Condition | None:
        """Returns the condition of this type, or none."""
        return next((condition for condition in self.conditions if condition.type == condition_type), None)

    def is_true(self, condition_type: str) -> bool:
        """Returns whether the resource has this condition and its status is True."""
        condition = self.condition(condition_type)
        return condition is not None and condition.status == "True"


class DeclaredResourceStatus(ResourceStatus):
    """Base class of the statuses of the resources that people write."""

    problem_time: Timestamp | None = None
    """When the problem in the message of Stalled began."""


class SourceStatus(StatusModel):
    """The content of a Site's source, from its listing."""

    fingerprint: Digest
    """Digest of the listing: it changes when the data changes."""
    files: NonNegativeInt = 0
    """Number of files, or of instances on a DICOM server."""
    patients: NonNegativeInt = 0
    """Number of patients; 0 if the listing does not distinguish them."""
    last_change_time: Timestamp
    """When the listing last changed."""
    cursor: Annotated[str, StringConstraints(max_length=256)] = ""
    """Position in the source's feed of changes up to which it was read."""


class SiteStatus(DeclaredResourceStatus):
    """The observed state of the Site.

    Conditions: ``Ready`` (False: the source cannot be listed), ``Reconciling`` (True: the operator tries again) and
    ``Stalled`` (True: the message says what a person must do).
    """

    source: SourceStatus | None = None
    last_poll_time: Timestamp | None = None
    """When the operator last polled the source."""


class LogHead(StatusModel):
    """The last entry of the registry's log. It reveals a log that was cut or rewritten."""

    number: NonNegativeInt
    """Number of the entry."""
    digest: Digest
    """Digest of the entry, which includes the digest of the previous entry."""


class TaskStatus(StatusModel):
    """Scores of the champion on the task of one Site, and their limits."""

    site: Name
    """Name of the Site."""
    task: PathSafeName
    """Name of the task."""
    metric: PathSafeName
    """The primary metric."""
    frozen_score: Score | None = None
    """Score on the Site's frozen test set."""
    recent_score: Score | None = None
    """Score on the Site's recent, newly labelled cases."""
    first_score: DecimalString | None = None
    """Score of the first accepted version that learned the Site, on the same patients of this frozen test set."""
    floor: DecimalString | None = None
    """Lowest score that passes the gate, where higher is better."""
    ceiling: DecimalString | None = None
    """Highest score that passes the gate, and that recent cases may have, where lower is better."""
    margin: DecimalString | None = None
    """How much worse than firstScore the score may be, in the unit of the metric."""
    recent_floor: DecimalString | None = None
    """A recent score below it counts as drift, where higher is better."""
    saliency: DecimalString | None = None
    """Agreement (IoU) of the saliency maps with those of the base version."""
    saliency_floor: DecimalString | None = None
    """Lowest agreement that passes the gate."""
    evaluation_time: Timestamp | None = None
    """When the scores were measured."""

    @property
    def properties(self) -> MetricProperties:
        """Unit and direction of the primary metric; one of another release counts as a share."""
        return METRICS.get(self.metric, MetricProperties(self.metric, None))

    @property
    def forgotten(self) -> Decimal | None:
        """How much worse the champion is on the frozen test set than the first accepted version."""
        if self.first_score is None or self.frozen_score is None:
            return None
        return self.properties.loss(self.first_score, self.frozen_score.value)

    @property
    def frozen_limit(self) -> Decimal | None:
        """The floor, or the ceiling where lower is better."""
        return self.ceiling if self.properties.is_lower_better else self.floor

    @property
    def recent_limit(self) -> Decimal | None:
        """The floor of recent cases, or the ceiling where lower is better."""
        return self.ceiling if self.properties.is_lower_better else self.recent_floor

    @property
    def is_forgotten(self) -> bool:
        """Whether the champion lost more than the margin."""
        return self.forgotten is not None and self.margin is not None and self.forgotten > self.margin

    @property
    def is_beyond_limit(self) -> bool:
        """Whether the score on the frozen test set is beyond its limit."""
        return self._is_beyond(self.frozen_score, self.frozen_limit)

    @property
    def is_drifting(self) -> bool:
        """Whether the score on recent cases is beyond its limit."""
        return self._is_beyond(self.recent_score, self.recent_limit)

    def _is_beyond(self, score: Score | None, limit: Decimal | None) -> bool:
        return score is not None and limit is not None and self.properties.is_worse(score.value, limit)


class ModelSiteStatus(StatusModel):
    """The state of a Site in this model: a stable word, and a sentence that says what the Site waits for."""

    name: Name
    """Name of the Site."""
    state: PathSafeName
    """State of the Site, as one stable word."""
    message: Sentence = ""
    """What the Site waits for, and why."""
    quarantined_files: NonNegativeInt = 0
    """Number of quarantined files in its last snapshot."""
    foreign_files: NonNegativeInt = 0
    """Number of intact files in its last ingest that are not for the site, such as other modalities and reports."""
    samples: NonNegativeInt = 0
    """Number of samples in its last snapshot."""
    changes: Sentence = ""
    """What its last ingest carried forward, left out as withdrawn, or found corrected; few patients have no number."""
    note: Sentence = ""
    """Which of the Site's modalities the method does not read; empty where it reads all."""
    last_learned_time: Timestamp | None = None
    """When a champion last learned its data."""
    answered_request: NonNegativeInt = 0
    """Highest number of a person's update request that has its result; a new request needs a higher number."""


class DecisionCounts(StatusModel):
    """Numbers of decisions in the registry's log."""

    promoted: NonNegativeInt = 0
    """Versions that became champion."""
    rejected: NonNegativeInt = 0
    """Versions that the gate or a person rejected."""
    superseded: NonNegativeInt = 0
    """Versions whose base was no longer the champion when they were decided."""
    rolled_back: NonNegativeInt = 0
    """Rollbacks to an earlier champion."""
    withdrawn: NonNegativeInt = 0
    """Withdrawals of the champion."""


class EvaluationStatus(StatusModel):
    """Scheduled evaluations: the last, the next and the running one."""

    last_completion_time: Timestamp | None = None
    """When the last evaluation ended."""
    next_due_time: Timestamp | None = None
    """When the next evaluation is due; a time in the past means overdue."""
    run: RunIdentifier = ""
    """Name of the running evaluation; empty for none."""
    run_id: RunIdentifier = ""
    """Identifier of its run on the back end."""
    cancelling_time: Timestamp | None = None
    """When somebody asked the back end to end that run, or when the operator first saw that."""


class ContinualModelStatus(DeclaredResourceStatus):
    """The observed state of the model.

    Conditions: ``Ready`` (a champion is in use; False with the reason ``Withdrawn``: no version may be used),
    ``Progressing`` (an update is in progress; if False, the message says what each Site waits for), ``Reconciling``
    (True: no champion yet, or something is away for a moment), ``Stalled`` (True: the message says what a person must
    do), ``AwaitingApproval``, ``Forgetting``, ``Drifting``, ``BackendReachable``,
    ``UnverifiedPromotion`` (the log has an entry that no key of ``spec.registry.signing`` signed, or that no
    UpdateApproval stands behind).
    """

    champion: Digest | None = None
    """Digest of the champion, the version in use."""
    promotion_time: Timestamp | None = None
    """When the champion was promoted."""
    learning_rate: Sentence = ""
    """Learning rate of the champion, and whether later updates keep it; empty for a method without one."""
    log_head: LogHead | None = None
    verified_log_entry: LogHead | None = None
    """The last log entry up to which every entry is signed, and every decision of a person has its UpdateApproval."""
    update: Name | None = None
    """Name of the ModelUpdate in progress."""
    sites: Annotated[tuple[ModelSiteStatus, ...], Field(max_length=64), UniqueNames] = ()
    """States of the model's Sites, in the order of spec.sites."""
    tasks: Annotated[tuple[TaskStatus, ...], Field(max_length=64), UniqueBy(("site", "task"))] = ()
    """Scores of the champion on each task that it learned."""
    decisions: DecisionCounts = DecisionCounts()
    evaluation: EvaluationStatus = EvaluationStatus()

    def site(self, name: str) -> ModelSiteStatus | None:
        """Returns the status of one of the model's sites, or none."""
        return next((site for site in self.sites if site.name == name), None)


class RunStatus(StatusModel):
    """The latest run of an update on its back end."""

    name: RunIdentifier
    """Name of the run on the back end."""
    id: RunIdentifier
    """Identifier of the run on the back end."""
    attempt: NonNegativeInt
    """Number of the attempt; 1 for the first."""
    state: Literal["Pending", "Running", "Cancelling", "Succeeded", "Failed", "Cancelled", "Interrupted"]
    """State of the run. Interrupted: the back end stopped it through no fault of its own."""
    message: Sentence = ""
    """Why the run failed."""
    start_time: Timestamp | None = None
    """When the run started."""
    completion_time: Timestamp | None = None
    """When the run ended."""
    cancelling_time: Timestamp | None = None
    """When somebody asked the back end to end the run, or when the operator first saw that."""
    cancel_cause: Literal["", "Deadline", "Outdated", "NotNeeded"] = ""
    """Why the operator ended the run; empty where it did not. Only Deadline counts as a failure."""


class ModelUpdateStatus(ResourceStatus):
    """The observed state of the update.

    Conditions: ``Claimed``, ``RunSucceeded``, ``Decided`` (its reason is the state of the update); only while it is
    True, ``Reconciling`` (the update has not ended) or ``Stalled`` (it failed, or needs a person).
    """

    run: RunStatus | None = None
    snapshot: Digest | None = None
    """Digest of the snapshot of the data that was learned."""
    version: Digest | None = None
    """Digest of the candidate. An UpdateApproval names it."""
    verdict: Annotated[str, StringConstraints(max_length=32)] = ""
    """Verdict of the gate on the candidate."""
    report: CandidateReport | None = None
    report_digest: Digest | None = None
    """Digest of the report. An UpdateApproval names it in spec.report; the ConfigMap of this report has its digits."""
    new_patients: NonNegativeInt = 0
    """Number of training patients that the base version has not learned."""
    completion_time: Timestamp | None = None
    """When the update reached its final state."""


class UpdateApprovalStatus(ResourceStatus):
    """The observed state of the decision.

    Condition: ``Recorded`` (True: the registry's log has the decision; False: the message says why it was refused).
    True and False are final: the decision has its one effect, or none, and is never executed later. Only while it is
    True: ``Reconciling`` (not recorded yet) or ``Stalled`` (refused).
    """

    log_entry: NonNegativeInt = 0
    """Number of the decision's entry in the registry's log; 0 for none."""
