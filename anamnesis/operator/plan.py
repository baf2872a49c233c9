"""Decides what to do next for one model: a pure function of what is wanted, what is there, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.records import Verdict


class SiteState(StrEnum):
    """Where a site stands with a model; stable words for programs."""

    LEARNED = "Learned"
    NEXT = "Next"
    QUEUED = "Queued"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_EVALUATIONS = "AwaitingEvaluations"
    UNSETTLED = "Unsettled"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    UNREADABLE = "Unreadable"
    SUSPENDED = "Suspended"
    OUTSIDE_CHANGE_PLAN = "OutsideChangePlan"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version trained on a site's present data and this configuration that is not in the champion's lineage.

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
    """What is known of a site.

    Attributes:
        learned: the data that its source holds now is in the champion's lineage.
        candidates: see ``Candidate``, oldest first.
        problem: why its source or store cannot be read; empty when all is well.
    """

    learned: bool = False
    candidates: tuple[Candidate, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there, read at one moment.

    Attributes:
        champion: digest of the version in use; empty before the first promotion.
        sites: by name.
        submitted: sites whose update this planner has already carried out on this champion; not again.
    """

    champion: str
    sites: Mapping[str, ObservedSite]
    submitted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Submit:
    """Start an update: the data of ``site`` on top of the version ``base``."""

    site: str
    base: str


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """One line of a model's status."""

    name: str
    state: SiteState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a model's status says.

    Attributes:
        champion: digest of the version in use, or empty.
        sites: in the order they joined.
        time: when it was planned, UTC, ISO 8601.
    """

    champion: str
    sites: tuple[SiteStatus, ...] = field(default=())
    time: str = ""


_FINAL = {SiteState.LEARNED, SiteState.REJECTED, SiteState.ROLLED_BACK}
"""States that let the next site have its turn. Sites are learned in the order they joined, so all others hold it up."""


def plan(spec: ContinualModelSpec, observed: Observed, now: datetime) -> tuple[tuple[Submit, ...], Status]:
    """Returns what to do now and what to tell.

    At most one update at a time: the next one needs the champion that this one may become.

    Args:
        spec: what is wanted.
        observed: what is there.
        now: the time, UTC.
    """
    actions: list[Submit] = []
    statuses: list[SiteStatus] = []
    held_up_by = ""
    for reference in spec.sites:
        status = _stands(spec, reference.name, observed)
        if status.state is SiteState.NEXT and held_up_by:
            status = SiteStatus(status.name, SiteState.QUEUED, f"after {held_up_by}")
        elif status.state is SiteState.NEXT:
            actions.append(Submit(status.name, observed.champion))
        if status.state not in _FINAL and not held_up_by:
            held_up_by = status.name
        statuses.append(status)
    return tuple(actions), Status(observed.champion, tuple(statuses), now.isoformat(timespec="seconds"))


def _stands(spec: ContinualModelSpec, name: str, observed: Observed) -> SiteStatus:
    site = observed.sites[name]
    if site.problem:
        return SiteStatus(name, SiteState.UNREADABLE, site.problem)
    if site.learned:
        return SiteStatus(name, SiteState.LEARNED)
    for candidate in site.candidates:
        if state := _decided(candidate, spec.gate.enforcement == "Enforced", name in observed.submitted):
            return SiteStatus(name, state, f"{candidate.version}: {candidate.reason}")
    if spec.state == "Suspended":
        return SiteStatus(name, SiteState.SUSPENDED, "the model is suspended")
    allowed = spec.change_plan.allowed_methods
    if allowed and spec.method.name not in allowed:
        return SiteStatus(name, SiteState.OUTSIDE_CHANGE_PLAN, f"{spec.method.name} is not one of {', '.join(allowed)}")
    if name in observed.submitted:
        return SiteStatus(name, SiteState.UNSETTLED, "its update ended without a decision; see the record of the run")
    return SiteStatus(name, SiteState.NEXT)


def _decided(candidate: Candidate, enforced: bool, submitted: bool) -> SiteState | None:
    """Returns where a candidate leaves its site, or none where the update shall run (on)."""
    if candidate.rolled_back:
        return SiteState.ROLLED_BACK
    if candidate.rejected:
        return SiteState.REJECTED
    if candidate.verdict is Verdict.AWAIT_APPROVAL and enforced:
        return SiteState.AWAITING_APPROVAL
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS and submitted:
        return SiteState.AWAITING_EVALUATIONS
    return None
