"""What planning looks at: everything that is there, read at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from anamnesis.operator.backends.base import Run
from anamnesis.records import ScheduledEvaluation, UpdateResult, UpdateResultKind, Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version trained on a site's present data that is not in the champion's lineage.

    Attributes:
        version: its digest.
        verdict: what the gate says of it now.
        reason: the gate's sentence, or that of the person who rejected it or rolled it back.
        is_rejected: the log says so.
        is_rolled_back: it was promoted once.
    """

    version: str
    verdict: Verdict
    reason: str
    is_rejected: bool = False
    is_rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class ObservedSite:
    """What is known of a site. What a laptop does not know keeps its default.

    Attributes:
        is_learned: the data that its source holds now is in the champion's lineage.
        candidates: see ``Candidate``, oldest first.
        problem: why its source or store cannot be read; empty when all is well.
        source_fingerprint: fingerprint of what its source holds now; empty before the first look.
        changed_at: since when it has held that.
        patients: it holds at most so many; 0 where a listing cannot tell.
        learned_patients: the same of what was last learned from it.
        requested_counter: counter of the person's latest request.
        answered_counter: the highest counter that an update of this site bears.
        is_missing: the champion has learned from it, and its Site is there no more.
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

    @property
    def has_open_request(self) -> bool:
        """Whether a person asks for an update that no update has answered."""
        return self.requested_counter > self.answered_counter


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on an update, as the registry's log says.

    Attributes:
        held_by_this_operator: this operator made the claim.
        deadline: until when it holds.
    """

    held_by_this_operator: bool
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ObservedUpdate:
    """A ModelUpdate, and what back end and registry say of it.

    Attributes:
        name: of the resource.
        site: whose data.
        source_fingerprint: fingerprint of what was to be learned.
        base: digest of the version it starts from; empty for the first.
        is_current: it is what would be planned today from this data: same base, configuration and counter.
        created_at: when the resource was made.
        claim: the last claim, or none.
        runs: those that bear its name, oldest first.
        result: what a run found, or none yet.
        candidate: the version it gave, or none yet.
        is_promoted: that version is in the champion's lineage.
        is_superseded: the log says that its base was no longer champion.
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

    @property
    def result_kind(self) -> UpdateResultKind | None:
        """How its run ended."""
        return self.result.kind if self.result else None


@dataclass(frozen=True, slots=True)
class ObservedApproval:
    """An UpdateApproval, and what the registry says of its version.

    Attributes:
        name: of the resource.
        decision: what the person says.
        version: of which version.
        approver: who.
        created_at: when the resource was made.
        update: name of the update that it speaks of; empty for a roll back.
        candidate: the version that this update gave; empty where there is no such update or version.
        log_entry: number of the log entry that records it; 0 while there is none.
        logged_decisions: what the log says of the version: ``approved``, ``rejected`` by a person, or ``promoted``.
        refusal_reason: it was refused before, with this reason; that is final.
    """

    name: str
    decision: Literal["Approve", "Reject", "RollBack"]
    version: str
    approver: str
    created_at: datetime
    update: str = ""
    candidate: str = ""
    log_entry: int = 0
    logged_decisions: frozenset[str] = frozenset()
    refusal_reason: str = ""


@dataclass(frozen=True, slots=True)
class ObservedEvaluation:
    """Scheduled evaluations of the champion.

    Attributes:
        first_champion_at: when the model got its first champion: nothing was due before.
        due_at: the last time that the schedule names, or none.
        next_due_at: the next one.
        runs: those of the evaluation that is due, oldest first.
        result: its result, or none yet.
        name: of the evaluation that is due.
    """

    first_champion_at: datetime
    due_at: datetime | None
    next_due_at: datetime
    name: str
    runs: tuple[Run, ...] = ()
    result: ScheduledEvaluation | None = None

    @property
    def pending_due_at(self) -> datetime | None:
        """The time that was due and has no result yet, or none."""
        return (
            self.due_at
            if self.due_at is not None and self.due_at > self.first_champion_at and not self.result
            else None
        )


@dataclass(frozen=True, slots=True)
class PlanInput:
    """What is there, read at one moment.

    Attributes:
        champion: digest of the version in use; empty before the first promotion.
        sites: by name.
        submitted_sites: sites whose update this planner has already carried out on this champion; not again.
        on_demand: a person at the command line is the trigger: what a cluster waits for is passed over.
        updates: every ModelUpdate of the model, oldest first.
        approvals: every UpdateApproval of the model, oldest first.
        admission_policy_since: since when an admission policy pins the author of approvals; none where it does not.
        other_operator_deadline: until when another operator that shares the registry has the turn, or none.
        evaluation: see ``ObservedEvaluation``; none where none is wanted or there is no champion.
    """

    champion: str
    sites: Mapping[str, ObservedSite]
    submitted_sites: frozenset[str] = frozenset()
    on_demand: bool = False
    updates: tuple[ObservedUpdate, ...] = ()
    approvals: tuple[ObservedApproval, ...] = ()
    admission_policy_since: datetime | None = None
    other_operator_deadline: datetime | None = None
    evaluation: ObservedEvaluation | None = None
