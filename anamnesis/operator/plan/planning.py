"""Decides what to do next for one model: a pure function of what is wanted, what is there, and the time."""

from collections.abc import Mapping
from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.plan.actions import Action, Forget, Record, Submit
from anamnesis.operator.plan.approvals import examine
from anamnesis.operator.plan.evaluations import evaluate
from anamnesis.operator.plan.plan_input import Observed
from anamnesis.operator.plan.planned_status import (
    ApprovalState,
    ApprovalStatus,
    SiteState,
    SiteStatus,
    Status,
    UpdateStatus,
)
from anamnesis.operator.plan.site_readiness import Standing, stand
from anamnesis.operator.plan.update_lifecycle import Followed, follow

_HOLDS = {
    SiteState.NEXT,
    SiteState.UPDATING,
    SiteState.AWAITING_APPROVAL,
    SiteState.AWAITING_EVALUATIONS,
    SiteState.UNSETTLED,
    SiteState.CLAIMED_ELSEWHERE,
}
"""States in which a site has the turn: the next update needs the champion that this one may give. A site that is not
ready does not hold up the others; sites are learned in the order they joined among those that are."""


def plan(spec: ContinualModelSpec, observed: Observed, now: datetime) -> tuple[tuple[Action, ...], Status]:
    """Returns what to do now, in this order, and what to tell.

    Words of people come first, since they may change the champion; what follows from them is planned in the next round.
    At most one update of a model is in flight.

    Args:
        spec: what is wanted.
        observed: what is there.
        now: the time, UTC.
    """
    approvals = {one.name: examine(one, observed) for one in observed.approvals}
    followed = {update.name: follow(spec, update, observed, now) for update in observed.updates}
    standings = _in_turn([stand(spec, site.name, observed, followed, now) for site in spec.sites], followed, observed)
    evaluation = evaluate(spec, observed, now)
    actions = _record(approvals)
    if not actions:
        actions = [action for found in followed.values() for action in found.actions]
        actions += [_submit(one.status, observed) for one in standings if one.status.state is SiteState.NEXT]
        actions += evaluation.actions if evaluation else ()
        actions += _forget(spec, observed, followed)
    times = [one.again for one in (*followed.values(), *standings, evaluation) if one and one.again]
    status = Status(
        champion=observed.champion,
        sites=tuple(one.status for one in standings),
        time=now.isoformat(timespec="seconds"),
        updates={name: UpdateStatus(found.state, found.message) for name, found in followed.items()},
        approvals=approvals,
        evaluation=evaluation.message if evaluation else "",
        again=min(times, default=None),
    )
    return tuple(actions), status


def _submit(site: SiteStatus, observed: Observed) -> Action:
    return Submit(site.name, observed.champion)


def _record(approvals: Mapping[str, ApprovalStatus]) -> list[Action]:
    """At most one a round: what it changes decides what the others mean."""
    pending = [name for name, status in approvals.items() if status.state is ApprovalState.PENDING]
    return [Record(name) for name in pending[:1]]


def _in_turn(standings: list[Standing], followed: Mapping[str, Followed], observed: Observed) -> list[Standing]:
    """Leaves ``NEXT`` to the first that may begin, and to none while an update is in flight."""
    flying = [one.site for one in observed.updates if not followed[one.name].state.final]
    turn = flying[0] if flying else ""
    given = []
    for standing in standings:
        status = standing.status
        if status.state is SiteState.NEXT and turn:
            standing = Standing(SiteStatus(status.name, SiteState.QUEUED, f"after {turn}"))
        turn = turn or (status.name if status.state in _HOLDS else "")
        given.append(standing)
    return given


def _forget(spec: ContinualModelSpec, observed: Observed, followed: Mapping[str, Followed]) -> list[Action]:
    """The oldest updates that ended, beyond the limit; never one whose end keeps its data from being tried again."""
    ended = [one for one in observed.updates if followed[one.name].state.final and not one.current]
    surplus = len(observed.updates) - spec.history_limit
    return [Forget(one.name) for one in ended[: max(0, surplus)]]
