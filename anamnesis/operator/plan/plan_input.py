"""The input of planning: the state of the cluster, the registry and the back end, read at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.backends.base import Run
from anamnesis.operator.plan.planned_status import PlannedUpdateStatus
from anamnesis.operator.plan.run_judgement import RecordedRun
from anamnesis.records import (
    LogEntry,
    PersonDecision,
    ScheduledEvaluation,
    UpdateResult,
    UpdateResultKind,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version trained on the current data of a site; it is not in the champion's lineage.

    Attributes:
        version: its digest.
        verdict: the gate's verdict now.
        reason: why, from the gate, or who rejected the version or rolled it back.
        is_rejected: the registry's log has its rejection.
        is_rolled_back: it was champion, and a person rolled back.
    """

    version: str
    verdict: Verdict
    reason: str
    is_rejected: bool = False
    is_rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class ObservedSite:
    """The state of a site. Local mode leaves the fields of the cluster at their defaults.

    Attributes:
        is_learned: the champion's lineage was trained on the data that the source holds now.
        candidates: see ``Candidate``, oldest first.
        problem: why its source or store is unreadable; empty where both are readable.
        source_fingerprint: of the files that the source holds now; empty before the first poll.
        changed_at: when the files last changed.
        patients: upper bound of the number of patients at the source; 0 where a listing does not show patients.
        learned_patients: the same number for the data that was last learned from the site.
        requested_counter: counter of the latest request of a person.
        answered_counter: the highest counter of the updates of this site.
        is_missing: the champion was trained on this site, and the Site does not exist any more.
        held_back: which patients wait until there are enough, in words; empty where none does.
        changes: local mode only: what the last ingest carried forward, left out as withdrawn, or found corrected.
        hold: local mode only: why the present data is not learned; empty where it may be.
        failure: local mode only: why the ingest or the update of this command failed; empty where it did not.
    """

    is_learned: bool = False
    candidates: tuple[Candidate, ...] = ()
    problem: str = ""
    source_fingerprint: str = ""
    changed_at: datetime | None = None
    patients: int = 0
    learned_patients: int = 0
    requested_counter: int = 0
    answered_counter: int = 0
    is_missing: bool = False
    held_back: str = ""
    changes: str = ""
    hold: str = ""
    failure: str = ""

    @property
    def has_open_request(self) -> bool:
        """Whether a person requests an update, and no update has answered yet."""
        return self.requested_counter > self.answered_counter


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of an operator on an update, from the registry's log.

    Attributes:
        held_by_this_operator: this operator made the claim.
        deadline: when the claim expires.
    """

    held_by_this_operator: bool
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ObservedUpdate:
    """A ModelUpdate, with its state in the back end and the registry.

    Attributes:
        name: of the resource.
        site: whose data it learns.
        source_fingerprint: of the files to learn.
        base: digest of the version that it starts from; empty for the first update.
        is_current: a plan made now would create the same update: same data, base, configuration and counter.
        is_request_current: its runs get what the model and the Site say now.
        created_at: when the resource was created.
        claim: the last claim, or none.
        runs: of this update, oldest first.
        result: of a run, or none yet.
        candidate: the version that the run trained, or none yet.
        is_promoted: that version is in the champion's lineage.
        is_superseded: the log has the entry that another version became champion first.
        last_status: the state that the resource has now, or none.
        recorded_run: what the resource has about its last run, or none.
    """

    name: str
    site: str
    source_fingerprint: str
    base: str
    is_current: bool
    created_at: datetime
    claim: Claim | None = None
    runs: tuple[Run, ...] = ()
    result: UpdateResult | None = None
    candidate: Candidate | None = None
    is_promoted: bool = False
    is_superseded: bool = False
    last_status: PlannedUpdateStatus | None = None
    recorded_run: RecordedRun | None = None
    is_request_current: bool = True

    @property
    def result_kind(self) -> UpdateResultKind | None:
        """The kind of the result, or none yet."""
        return self.result.kind if self.result else None


@dataclass(frozen=True, slots=True)
class ObservedApproval:
    """An UpdateApproval whose state is not final, with what cluster and log have about it.

    Attributes:
        name: of the resource.
        decision: of the person.
        version: digest of the version that the decision is about; empty for a withdrawal.
        created_at: when the resource was created.
        update: name of the ModelUpdate; empty for a decision about the champion.
        has_update: whether this ModelUpdate exists.
        candidate: the version that this update gave; empty where there is no such update or version.
        report: digest of the report that the person read; empty where the approval names none.
        present_report: digest of the report about the version now; empty where the gate does not decide.
        lacks_scores: whether the gate still waits for scores of the version.
        entry: the entry of the log that records the approval, or none.
        earlier_entry: number of the entry that records a deleted approval of the same name and content; 0 for none.
    """

    name: str
    decision: PersonDecision
    version: str
    created_at: datetime
    update: str = ""
    has_update: bool = True
    candidate: str = ""
    report: str = ""
    present_report: str = ""
    lacks_scores: bool = False
    entry: LogEntry | None = None
    earlier_entry: int = 0


@dataclass(frozen=True, slots=True)
class ObservedEvaluation:
    """Scheduled evaluations of the champion.

    Attributes:
        first_champion_at: when the model got its first champion; no evaluation was due before.
        due_at: the last time of the schedule, or none.
        next_due_at: the next time of the schedule.
        name: of the evaluation that is due.
        runs: of the evaluation that is due, oldest first.
        result: of the evaluation that is due, or none yet.
        recorded_run: what the model's status has about the run of a scheduled evaluation, or none.
    """

    first_champion_at: datetime
    due_at: datetime | None
    next_due_at: datetime
    name: str
    runs: tuple[Run, ...] = ()
    result: ScheduledEvaluation | None = None
    recorded_run: RecordedRun | None = None

    @property
    def pending_due_at(self) -> datetime | None:
        """The last time of the schedule, where its evaluation has no result yet; else none."""
        return (
            self.due_at
            if self.due_at is not None and self.due_at > self.first_champion_at and not self.result
            else None
        )


@dataclass(frozen=True, slots=True)
class PlanInput:
    """The state of one model, read at one moment.

    Attributes:
        champion: digest of the version in use; empty before the first promotion.
        sites: by name.
        submitted_sites: local mode only: sites whose update already ran on this champion; it does not run twice.
        on_demand: local mode: a person at the command line is the trigger, and ``spec.trigger`` does not count.
        withdrawal: who withdrew the champion, and how that ends; empty where it is not withdrawn.
        backend_problem: why the back end is not usable, so that no run is known; empty where it is.
        is_backend_refusing: the problem is a refusal that lasts until somebody corrects something, not an outage.
        store_problem: why the store of a learned site is not readable, so that its test set is not known; else empty.
        updates: every ModelUpdate of the model, oldest first.
        other_operator_deadline: when the claim of another operator that shares the registry expires, or none.
        spec_problem: fields of the model and its Sites that mean nothing or contradict each other; empty for none.
        secret_problem: why a Secret that each run needs cannot be used; empty for none.
        unverified_entry: the first entry of the registry's log that was not verified, with the reason; else empty.
        evaluation: see ``ObservedEvaluation``; none where the model has no evaluation schedule or no champion.
    """

    champion: str
    sites: Mapping[str, ObservedSite]
    submitted_sites: frozenset[str] = frozenset()
    on_demand: bool = False
    withdrawal: str = ""
    backend_problem: str = ""
    is_backend_refusing: bool = False
    store_problem: str = ""
    updates: tuple[ObservedUpdate, ...] = ()
    other_operator_deadline: datetime | None = None
    spec_problem: str = ""
    secret_problem: str = ""
    unverified_entry: str = ""
    evaluation: ObservedEvaluation | None = None
