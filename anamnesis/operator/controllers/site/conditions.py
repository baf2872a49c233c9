"""The status of a Site. Pure over one poll of its source."""

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import make_condition, merge_conditions
from anamnesis.operator.api.status import SiteStatus, SourceStatus
from anamnesis.operator.controllers.site.state import PolledSource, SecretMissingError
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.storage import MissingBucketError, MissingObjectError

_REASONS: tuple[tuple[type[AnamnesisError], str], ...] = (
    (SecretMissingError, reasons.SECRET_MISSING),
    (UnreachableError, reasons.UNREACHABLE),
    (RefusedError, reasons.REFUSED),
    (MissingObjectError, reasons.NOT_FOUND),
    (MissingBucketError, reasons.NOT_FOUND),
    (InputError, reasons.INVALID),
)


def site_status(polled: PolledSource) -> SiteStatus:
    """Returns the status after a poll."""
    site, error = polled.site, polled.error
    condition = make_condition(
        condition_types.READABLE,
        status=error is None,
        reason=_error_reason(error) if error else reasons.READABLE,
        message=str(error) if error else _source_message(polled.source),
    )
    stalled = make_condition(
        condition_types.STALLED,
        status=error is not None,
        reason=condition.reason if error else reasons.NOTHING_TO_DO,
        message=condition.message if error else "",  # a column of kubectl shows it
    )
    generation = site.metadata.generation
    changes = {
        "observed_generation": generation,
        "conditions": merge_conditions(site.status.conditions, (condition, stalled), generation, polled.now),
        "source": polled.source,
        "last_poll_time": polled.now,
    }
    return site.status.model_copy(update=changes)


def _error_reason(error: AnamnesisError) -> str:
    return next((reason for error_type, reason in _REASONS if isinstance(error, error_type)), reasons.UNREADABLE)


def _source_message(source: SourceStatus | None) -> str:
    if source is None or not source.files:
        return "no data has arrived yet"
    patients_message = f", at most {_count_text(source.patients, 'patient')}" if source.patients else ""
    return _count_text(source.files, "file") + patients_message


def _count_text(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")
