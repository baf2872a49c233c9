"""What planning looks at: everything that is there, read at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from anamnesis.operator.backends.base import Run
from anamnesis.records import Monitoring, Outcome, OutcomeKind, Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version trained on a site's present data that is not in the champion's lineage.

    Attributes:
        version: its digest.
        verdict: what the gate says of it now.
        reason: the gate's sentence, or that of the person who rejected it or rolled it back.
        rejected: the log says so.
        rolled_back: it was promoted once.
    """

    version: str
    verdict: Verdict
    reason: str
    rejected: bool = False
    rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class ObservedSite:
    """What is known of a site. What a laptop does not know keeps its default.

    Attributes:
        learned: the data that its source holds now is in the champion's lineage.
        candidates: see ``Candidate``, oldest first.
        problem: why its source or store cannot be read; empty when all is well.
        source: fingerprint of what its source holds now; empty before the first look.
        changed: since when it has held that.
        patients: it holds at most so many; 0 where a listing cannot tell.
        learned_patients: the same of what was last learned from it.
        requested: counter of the person's latest request.
        answered: the highest counter that an update of this site bears.
        lost: the champion has learned from it, and its Site is there no more.
    """

    learned: bool = False
    candidates: tuple[Candidate, ...] = ()
    problem: str = ""
    source: str = ""
    changed: datetime | None = None
    patients: int = 0
    learned_patients: int = 0
    requested: int = 0
    answered: int = 0
    lost: bool = False

    @property
    def asked(self) -> bool:
        """Whether a person asks for an update that no update has answered."""
        return self.requested > self.answered


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on an update, as the registry's log says.

    Attributes:
        ours: this operator made the claim.
        deadline: until when it holds.
    """

    ours: bool
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ObservedUpdate:
    """A ModelUpdate, and what back end and registry say of it.

    Attributes:
        name: of the resource.
        site: whose data.
        source: fingerprint of what was to be learned.
        base: digest of the version it starts from; empty for the first.
        current: it is what would be planned today from this data: same base, configuration and counter.
        created: when the resource was made.
        claim: the last claim, or none.
        runs: those that bear its name, oldest first.
        outcome: what a run found, or none yet.
        candidate: the version it gave, or none yet.
        promoted: that version is in the champion's lineage.
        superseded: the log says that its base was no longer champion.
    """

    name: str
    site: str
    source: str
    base: str
    current: bool
    created: datetime
    claim: Claim | None = None
    runs: tuple[Run, ...] = ()
    outcome: Outcome | None = None
    candidate: Candidate | None = None
    promoted: bool = False
    superseded: bool = False

    @property
    def kind(self) -> OutcomeKind | None:
        """How its run ended."""
        return self.outcome.kind if self.outcome else None


@dataclass(frozen=True, slots=True)
class ObservedApproval:
    """An UpdateApproval, and what the registry says of its version.

    Attributes:
        name: of the resource.
        decision: what the person says.
        version: of which version.
        approver: who.
        created: when the resource was made.
        update: name of the update that it speaks of; empty for a roll back.
        candidate: the version that this update gave; empty where there is no such update or version.
        entry: number of the log entry that records it; 0 while there is none.
        decided: what the log says of the version: ``approved``, ``rejected`` by a person, or ``promoted``.
        refused: it was refused before, with this reason; that is final.
    """

    name: str
    decision: Literal["Approve", "Reject", "RollBack"]
    version: str
    approver: str
    created: datetime
    update: str = ""
    candidate: str = ""
    entry: int = 0
    decided: frozenset[str] = frozenset()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class ObservedEvaluation:
    """Scheduled evaluations of the champion.

    Attributes:
        since: when the model got its first champion: nothing was due before.
        due: the last time that the schedule names, or none.
        next: the next one.
        runs: those of the evaluation that is due, oldest first.
        found: its result, or none yet.
        name: of the evaluation that is due.
    """

    since: datetime
    due: datetime | None
    next: datetime
    name: str
    runs: tuple[Run, ...] = ()
    found: Monitoring | None = None

    @property
    def pending(self) -> datetime | None:
        """The time that was due and has no result yet, or none."""
        return self.due if self.due is not None and self.due > self.since and not self.found else None


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there, read at one moment.

    Attributes:
        champion: digest of the version in use; empty before the first promotion.
        sites: by name.
        submitted: sites whose update this planner has already carried out on this champion; not again.
        on_demand: a person at the command line is the trigger: what a cluster waits for is passed over.
        updates: every ModelUpdate of the model, oldest first.
        approvals: every UpdateApproval of the model, oldest first.
        guarded_since: since when an admission policy pins the author of approvals; none where it does not.
        foreign_until: until when another operator that shares the registry has the turn, or none.
        evaluation: see ``ObservedEvaluation``; none where none is wanted or there is no champion.
    """

    champion: str
    sites: Mapping[str, ObservedSite]
    submitted: frozenset[str] = frozenset()
    on_demand: bool = False
    updates: tuple[ObservedUpdate, ...] = ()
    approvals: tuple[ObservedApproval, ...] = ()
    guarded_since: datetime | None = None
    foreign_until: datetime | None = None
    evaluation: ObservedEvaluation | None = None
