"""The status of a Site. Pure over one poll of its source."""

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import make_condition, merge_conditions
from anamnesis.operator.api.problems import Problem, Severity, judge
from anamnesis.operator.api.site import SiteSpec
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.controllers.site.state import PolledSource
from anamnesis.operator.source_credentials import SecretMissingError
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.sources import IncompleteListError
from anamnesis.storage import MissingBucketError, MissingObjectError

_REASONS: tuple[tuple[type[AnamnesisError], str], ...] = (
    (SecretMissingError, reasons.SECRET_MISSING),
    (UnreachableError, reasons.UNREACHABLE),
    (RefusedError, reasons.REFUSED),
    (MissingObjectError, reasons.NOT_FOUND),
    (MissingBucketError, reasons.NOT_FOUND),
    (IncompleteListError, reasons.INCOMPLETE_LIST),
    (InputError, reasons.INVALID),
)
_REASONS_OF_OUTAGES = (reasons.UNREACHABLE, reasons.SECRET_MISSING)


def site_status(polled: PolledSource) -> SiteStatus:
    """Returns the status after a poll."""
    site, error = polled.site, polled.error
    condition = make_condition(
        condition_types.READY,
        status=error is None,
        reason=_error_reason(error) if error else reasons.READABLE,
        message=str(error) if error else _source_message(polled),
    )
    generation = site.metadata.generation
    severity = Severity.OUTAGE if condition.reason in _REASONS_OF_OUTAGES else Severity.FAILURE
    problems = (Problem(severity, condition.reason, condition.message),) if error else ()
    health = judge(site.status, generation, ready=condition, problems=problems, now=polled.now)
    conditions = (condition, *health.conditions)
    changes = {
        "observed_generation": generation,
        "conditions": merge_conditions(site.status.conditions, conditions, generation, polled.now),
        "problem_time": health.problem_time,
        "source": polled.source,
        "last_poll_time": polled.now,
    }
    return site.status.model_copy(update=changes)


def _error_reason(error: AnamnesisError) -> str:
    return next((reason for error_type, reason in _REASONS if isinstance(error, error_type)), reasons.UNREADABLE)


def _source_message(polled: PolledSource) -> str:
    note = f"; {polled.note}" if polled.note else ""
    source = polled.source
    if source is None or not source.files:
        return f"no data has arrived yet{_query_message(polled.site.spec)}{note}"
    patients_message = f", at most {_count_text(source.patients, 'patient')}" if source.patients else ""
    return f"{_count_text(source.files, 'file')}{patients_message}{note}"


def _query_message(spec: SiteSpec) -> str:
    """Returns that the query of a DICOM server may exclude its studies; nothing for another source."""
    server, field = (spec.source.dicomweb, "dicomweb") if spec.source.dicomweb else (spec.source.orthanc, "orthanc")
    if server is None:
        return ""
    modalities = spec.modalities if server.query.modalities is None else server.query.modalities
    return f": the server has no study that matches spec.source.{field}.query" + (
        f" (modalities {', '.join(modalities)})" if modalities else ""
    )


def _count_text(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")
