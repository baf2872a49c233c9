"""Carries out updates on this machine and tells how far they are."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.local.context import Selected
from anamnesis.local.pipeline_runner import LocalBackend
from anamnesis.local.progress import Reporter
from anamnesis.local.sources import ingester, looker
from anamnesis.local.updates import look_and_plan, make_split_key, remember, request_for, updates
from anamnesis.operator.api import Loaded, Site
from anamnesis.operator.plan import SiteState, Status
from anamnesis.pipelines.record import RunRecord
from anamnesis.records import Decision, InputError, Progress, decode, short_digest
from anamnesis.records.timestamps import utc_now
from anamnesis.updates.requests import UpdateRequest


@dataclass(frozen=True, slots=True)
class UpdateOutcome:
    """One update that was carried out.

    Attributes:
        site: whose data was learned.
        run: name of the run's folder.
        version: digest of the candidate.
        verdict: the gate's.
        promoted: whether it is the champion.
        reason: the gate's sentence.
    """

    site: str
    run: str
    version: str
    verdict: str
    promoted: bool
    reason: str

    @property
    def sentence(self) -> str:
        """The essence for people; the reason's details are in the report."""
        became = "promoted" if self.promoted else "not promoted"
        return f"{short_digest(self.version)} {became}; the gate says {self.verdict}: {self.reason.partition(':')[0]}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did for one model.

    Attributes:
        model: its name.
        updates: in order.
        status: where it stands now.
    """

    model: str
    updates: tuple[UpdateOutcome, ...]
    status: Status


def learn(selected: Selected, tell: Reporter, who: str, workers: int) -> Outcome:
    """Carries out updates until nothing is left to do.

    Raises:
        InputError: a site's data cannot be read, and nothing after it can be learned.
        AnamnesisError: a step failed.
    """
    wanted = selected.wanted(who)
    requests = updates(wanted, looker(selected), ingester(selected, tell, workers), utc_now)
    outcome = _carry_out(selected, requests, tell, who, workers)
    for site in outcome.status.sites:
        if site.state is SiteState.UNREADABLE:
            raise InputError(f"Site {site.name}: {site.message}")
    return outcome


def learn_one(selected: Selected, site: Loaded[Site], tell: Reporter, who: str, workers: int) -> Outcome:
    """Carries out one update with the data of ``site`` on top of the champion."""
    wanted = selected.wanted(who)
    observation, _, _ = look_and_plan(wanted, looker(selected), utc_now)
    return _carry_out(selected, [request_for(wanted, observation, site.name)], tell, who, workers)


def _carry_out(
    selected: Selected, requests: Iterable[UpdateRequest], tell: Reporter, who: str, workers: int
) -> Outcome:
    wanted, done = selected.wanted(who), []
    make_split_key(wanted.split_key)
    backend = LocalBackend(selected.state.runs, utc_now, workers)
    progress = tell.track(selected.model.name)
    for request in requests:
        record = backend.submit(request, _about(request.site.name, progress))
        done.append(_outcome(request, record))
        tell.say(f"{request.model}: {request.site.name}: {done[-1].sentence}")
        remember(wanted, look_and_plan(wanted, looker(selected), utc_now)[2])
    progress(1, 1, "done")
    _, _, status = look_and_plan(wanted, looker(selected), utc_now)
    remember(wanted, status)
    return Outcome(selected.model.name, tuple(done), status)


def _outcome(request: UpdateRequest, record: RunRecord) -> UpdateOutcome:
    said = record.step("promote_model").outputs
    decision = decode(Decision, said["decision"], "decision")
    promoted = bool(said["promoted"])
    return UpdateOutcome(
        request.site.name, record.id, decision.candidate, decision.verdict.value, promoted, decision.reason
    )


def _about(site: str, progress: Progress) -> Progress:
    return lambda done, total, what: progress(done, total, f"{site}: {what}")
