"""Samples from the updates and approvals of a model."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from anamnesis.operator.api import ContinualModel, UpdateApproval
from anamnesis.operator.api.condition_types import AWAITING_APPROVAL, DECIDED, RECORDED
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.status_samples import MetricSample, resource_labels
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState


def update_samples(model: ContinualModel, updates: Iterable[ModelUpdate]) -> Iterator[MetricSample]:
    """Yields the samples of a model's existing updates and of its update in flight."""
    labels = resource_labels(model)
    oldest_first = sorted(updates, key=_creation_seconds)
    for (site, result), count in Counter((update.spec.site, update_state(update)) for update in oldest_first).items():
        yield "model_updates", (*labels, site, result), count
    site_names = {reference.name for reference in model.spec.sites}
    for site in sorted({update.spec.site for update in oldest_first}):
        site_updates = [update for update in oldest_first if update.spec.site == site]
        yield (
            "model_update_failures",
            (*labels, site),
            _consecutive_failures(site_updates) if site in site_names else None,
        )
        yield "model_update_duration_seconds", (*labels, site), _last_run_duration(site_updates)
    for update in oldest_first:
        if update.metadata.name == model.status.update:
            yield from _in_flight_samples((*labels, update.spec.site), model, update)


def approval_samples(model: ContinualModel, approvals: Iterable[UpdateApproval]) -> Iterator[MetricSample]:
    """Yields the number of approvals by result."""
    result_by_status = {"True": "recorded", "False": "refused", "Unknown": "pending"}
    counts = Counter(result_by_status[_recorded_status(approval)] for approval in approvals)
    for result in result_by_status.values():
        yield "model_approvals", (*resource_labels(model), result), counts[result]


def update_state(update: ModelUpdate) -> str:
    """Returns the state of an update: a value of ``UpdateState``."""
    decided_condition = update.status.condition(DECIDED)
    return decided_condition.reason if decided_condition is not None else UpdateState.WAITING.value


def _recorded_status(approval: UpdateApproval) -> str:
    recorded_condition = approval.status.condition(RECORDED)
    return (
        "Unknown"
        if recorded_condition is None or recorded_condition.reason == ApprovalState.PENDING
        else recorded_condition.status
    )


def _creation_seconds(update: ModelUpdate) -> float:
    creation_time = update.metadata.creation_timestamp
    return creation_time.timestamp() if creation_time else 0.0


def _consecutive_failures(oldest_first: Iterable[ModelUpdate]) -> int:
    failures = 0
    for update in oldest_first:
        if update.status.is_true(DECIDED):
            failures = failures + 1 if update_state(update) == UpdateState.RUN_FAILED else 0
    return failures


def _last_run_duration(oldest_first: Sequence[ModelUpdate]) -> float | None:
    for update in reversed(oldest_first):
        run = update.status.run
        if run is not None and run.start_time is not None and run.completion_time is not None:
            return (run.completion_time - run.start_time).total_seconds()
    return None


def _in_flight_samples(labels: tuple[str, ...], model: ContinualModel, update: ModelUpdate) -> Iterator[MetricSample]:
    run, awaiting_condition = update.status.run, model.status.condition(AWAITING_APPROVAL)
    start_time = (
        run.start_time if run is not None and run.start_time is not None else update.metadata.creation_timestamp
    )
    yield "model_update_started_timestamp_seconds", labels, start_time
    yield "model_update_attempt", labels, run.attempt if run is not None else 0
    if awaiting_condition is not None and awaiting_condition.status == "True":
        yield "model_awaiting_approval_timestamp_seconds", labels, awaiting_condition.last_transition_time
