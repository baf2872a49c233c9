"""What the updates and approvals of a model say in numbers."""

from collections import Counter
from collections.abc import Iterable, Iterator

from anamnesis.operator.api import ContinualModel, UpdateApproval
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.status import Status
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.samples import Sample, place

FAILED = "Failed"


def update_samples(model: ContinualModel, updates: Iterable[ModelUpdate]) -> Iterator[Sample]:
    """Yields what is known of a model's updates, kept ones and the one in flight."""
    where = place(model)
    ordered = sorted(updates, key=_created)
    for (site, result), count in Counter((update.spec.site, result_of(update)) for update in ordered).items():
        yield "model_updates", (*where, site, result), count
    for site in sorted({update.spec.site for update in ordered}):
        yield "model_update_failures", (*where, site), _failures(u for u in ordered if u.spec.site == site)
    for update in ordered:
        if update.metadata.name == model.status.update:
            yield from _in_flight((*where, update.spec.site), model, update)


def approval_samples(model: ContinualModel, approvals: Iterable[UpdateApproval]) -> Iterator[Sample]:
    """Yields how many approvals there are, by what became of them."""
    words = {"True": "recorded", "False": "refused"}
    found = Counter(words.get(getattr(condition(a.status, "Recorded"), "status", ""), "pending") for a in approvals)
    for result in (*words.values(), "pending"):
        yield "model_approvals", (*place(model), result), found[result]


def condition(status: Status, kind: str) -> Condition | None:
    """Returns the condition of a type, or none."""
    return next((each for each in status.conditions if each.type == kind), None)


def result_of(update: ModelUpdate) -> str:
    """Returns what became of an update in one stable word; ``Pending`` or ``Running`` where nothing did yet."""
    decided = condition(update.status, "Decided")
    if decided is not None and decided.status == "True":
        return decided.reason
    return "Running" if update.status.run is not None else "Pending"


def _created(update: ModelUpdate) -> float:
    created = update.metadata.creation_timestamp
    return created.timestamp() if created else 0.0


def _failures(oldest_first: Iterable[ModelUpdate]) -> int:
    failures = 0
    for result in map(result_of, oldest_first):
        if result not in ("Pending", "Running"):
            failures = failures + 1 if result == FAILED else 0
    return failures


def _in_flight(where: tuple[str, ...], model: ContinualModel, update: ModelUpdate) -> Iterator[Sample]:
    run, awaiting = update.status.run, condition(model.status, "AwaitingApproval")
    began = run.started if run is not None and run.started is not None else update.metadata.creation_timestamp
    yield "model_update_started_timestamp_seconds", where, began
    yield "model_update_attempt", where, run.attempt if run is not None else 0
    if awaiting is not None and awaiting.status == "True":
        yield "model_awaiting_approval_timestamp_seconds", where, awaiting.last_transition_time
