"""What the updates and approvals of a model say in numbers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from anamnesis.operator.api import ContinualModel, UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.status_samples import Sample, place
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState


def update_samples(model: ContinualModel, updates: Iterable[ModelUpdate]) -> Iterator[Sample]:
    """Yields what is known of a model's updates, kept ones and the one in flight."""
    where = place(model)
    ordered = sorted(updates, key=_created)
    for (site, result), count in Counter((update.spec.site, state_of(update)) for update in ordered).items():
        yield "model_updates", (*where, site, result), count
    named = {reference.name for reference in model.spec.sites}
    for site in sorted({update.spec.site for update in ordered}):
        of_site = [update for update in ordered if update.spec.site == site]
        yield "model_update_failures", (*where, site), _failures(of_site) if site in named else None
        yield "model_update_duration_seconds", (*where, site), _duration(of_site)
    for update in ordered:
        if update.metadata.name == model.status.update:
            yield from _in_flight((*where, update.spec.site), model, update)


def approval_samples(model: ContinualModel, approvals: Iterable[UpdateApproval]) -> Iterator[Sample]:
    """Yields how many approvals there are, by what became of them."""
    words = {"True": "recorded", "False": "refused", "Unknown": "pending"}
    found = Counter(words[_recorded(approval)] for approval in approvals)
    for result in words.values():
        yield "model_approvals", (*place(model), result), found[result]


def state_of(update: ModelUpdate) -> str:
    """Returns where an update stands: a word of ``UpdateState``."""
    decided = update.status.condition("Decided")
    return decided.reason if decided is not None else UpdateState.WAITING.value


def _recorded(approval: UpdateApproval) -> str:
    recorded = approval.status.condition("Recorded")
    return "Unknown" if recorded is None or recorded.reason == ApprovalState.PENDING else recorded.status


def _created(update: ModelUpdate) -> float:
    created = update.metadata.creation_timestamp
    return created.timestamp() if created else 0.0


def _failures(oldest_first: Iterable[ModelUpdate]) -> int:
    failures = 0
    for update in oldest_first:
        if update.status.holds("Decided"):
            failures = failures + 1 if state_of(update) == UpdateState.RUN_FAILED else 0
    return failures


def _duration(oldest_first: Sequence[ModelUpdate]) -> float | None:
    for update in reversed(oldest_first):
        run = update.status.run
        if run is not None and run.started is not None and run.finished is not None:
            return (run.finished - run.started).total_seconds()
    return None


def _in_flight(where: tuple[str, ...], model: ContinualModel, update: ModelUpdate) -> Iterator[Sample]:
    run, awaiting = update.status.run, model.status.condition("AwaitingApproval")
    began = run.started if run is not None and run.started is not None else update.metadata.creation_timestamp
    yield "model_update_started_timestamp_seconds", where, began
    yield "model_update_attempt", where, run.attempt if run is not None else 0
    if awaiting is not None and awaiting.status == "True":
        yield "model_awaiting_approval_timestamp_seconds", where, awaiting.last_transition_time
