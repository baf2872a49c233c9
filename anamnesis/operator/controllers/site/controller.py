"""Brings a Site in order: looks at its source and says in its status what lies there, or why nobody can tell."""

import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from anamnesis.operator.addresses import source_url
from anamnesis.operator.api.conditions import make_condition, merge_conditions
from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.status import SiteStatus, SourceStatus
from anamnesis.operator.polling.poll import poll_source
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.records.timestamps import Clock
from anamnesis.storage import MissingBucketError, MissingObjectError

_POLL_JITTER = 0.1
_UNREADABLE_POLL_INTERVAL = timedelta(minutes=1)
"""What cannot be read is looked at so often, however long ``pollInterval`` is: whoever mends it wants to see it."""
_POLLS_PER_STATUS_WRITE = 3
"""A look that finds nothing new is told every so many times: each word is a write to the API server."""
_REASONS: tuple[tuple[type[AnamnesisError], str], ...] = (
    (UnreachableError, "Unreachable"),
    (RefusedError, "Refused"),
    (MissingObjectError, "NotFound"),
    (MissingBucketError, "NotFound"),
    (InputError, "Invalid"),
)
_CREDENTIAL_VARIABLES = {"username": "DICOM_USERNAME", "password": "DICOM_PASSWORD", "token": "DICOM_TOKEN"}


class SecretMissingError(InputError):
    """The Secret with a source's credentials is not there, or may not be read."""


def reconcile_site(
    cluster: Cluster, key: ReconcileKey, clock: Clock, environment: Mapping[str, str]
) -> timedelta | None:
    """Looks at a site's source once and tells what it found; what the source is to blame for becomes a condition.

    Args:
        cluster: holds the Site.
        key: which one.
        clock: the time, UTC.
        environment: of the operator; a Secret's credentials count more.

    Returns:
        When to look again, a little sooner or later than ``pollInterval`` so that sites do not come all at once, and
        soon where the source cannot be read; none where the Site is gone.

    Raises:
        UnreachableError: the API server does not answer.
    """
    site = cluster.get(Site, key.namespace, key.name)
    if site is None or site.metadata.deletion_timestamp:
        return None
    secret = _read_secret(cluster, site)
    now = clock()
    status = _poll_status(site, secret, environment, now)
    interval = parse_duration(site.spec.source.poll_interval)
    if _needs_status_write(site.status, status, _POLLS_PER_STATUS_WRITE * interval):
        cluster.put_status(site, status)
    wait = interval if status.is_true("Readable") else min(interval, _UNREADABLE_POLL_INTERVAL)
    return wait * random.Random(f"{key} {now}").uniform(1 - _POLL_JITTER, 1 + _POLL_JITTER)


def source_variables(secret: Iterable[str]) -> dict[str, str]:
    """Returns key -> environment variable for the keys of a source's Secret.

    ``username``, ``password`` and ``token`` become ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN``; keys in
    capitals, like ``AWS_ACCESS_KEY_ID``, stay; others are passed over.
    """
    variables = {key: _CREDENTIAL_VARIABLES.get(key, key) for key in secret}
    return {key: name for key, name in variables.items() if name.isidentifier() and name.isupper()}


def source_environment(secret: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment that a source's Secret stands for; a line's end, as a file brings it, goes."""
    return {name: secret[key].rstrip("\r\n") for key, name in source_variables(secret).items()}


def _read_secret(cluster: Cluster, site: Site) -> Mapping[str, str] | None:
    """The Secret's contents, empty where none is named, none where it cannot be read."""
    reference = site.spec.source.credentials_secret
    return cluster.read_secret(site.metadata.namespace or "", reference.name) if reference else {}


def _poll_status(
    site: Site, secret: Mapping[str, str] | None, environment: Mapping[str, str], now: datetime
) -> SiteStatus:
    """What one look gives."""
    generation, previous_status = site.metadata.generation, site.status
    known_source = previous_status.source if previous_status.observed_generation == generation else None
    source = known_source  # with another spec, what was known may be of another source
    try:
        polled_source = _poll_source(site, known_source, previous_status.source, secret, environment, now)
        source, readable_condition = (
            polled_source,
            make_condition("Readable", True, "Readable", _source_message(polled_source)),
        )
    except AnamnesisError as error:
        readable_condition = make_condition("Readable", False, _error_reason(error), str(error))
    conditions = merge_conditions(previous_status.conditions, (readable_condition,), generation, now)
    changes = {"observed_generation": generation, "conditions": conditions, "source": source, "last_poll_time": now}
    return previous_status.model_copy(update=changes)


def _poll_source(
    site: Site,
    known_source: SourceStatus | None,
    previous_source: SourceStatus | None,
    secret: Mapping[str, str] | None,
    environment: Mapping[str, str],
    now: datetime,
) -> SourceStatus:
    if secret is None:
        name = site.spec.source.credentials_secret.name if site.spec.source.credentials_secret else ""
        raise SecretMissingError(f"spec.source.credentialsSecret: there is no Secret {name!r} that may be read")
    operator_environment = {
        name: value for name, value in environment.items() if name not in _CREDENTIAL_VARIABLES.values()
    }
    url = source_url(site.spec.source, None)
    poll_result = poll_source(
        url,
        site.spec.labels.manifest or "",
        known_source.cursor if known_source else "",
        operator_environment | source_environment(secret),
    )
    source_state = poll_result.source_state
    if source_state is None:
        if known_source is None:
            raise InputError(f"{url}: a look without a cursor found nothing to tell")
        return known_source.model_copy(update={"cursor": poll_result.cursor})
    is_unchanged = previous_source is not None and previous_source.fingerprint == source_state.fingerprint
    changed_at = (
        previous_source.last_change_time if previous_source is not None and is_unchanged else now.replace(microsecond=0)
    )
    fields = {
        "fingerprint": source_state.fingerprint,
        "files": source_state.files,
        "patients": source_state.patients,
        "last_change_time": changed_at,
        "cursor": poll_result.cursor,
    }
    return SourceStatus.model_validate(fields, by_name=True, by_alias=False)


def _needs_status_write(previous_status: SiteStatus, new_status: SiteStatus, write_interval: timedelta) -> bool:
    """Whether more has changed than the time of the look and how far a feed was read, or that is long ago."""
    is_write_due = (
        previous_status.last_poll_time is None
        or new_status.last_poll_time is None
        or new_status.last_poll_time - previous_status.last_poll_time >= write_interval
    )
    return is_write_due or _without_poll_fields(previous_status) != _without_poll_fields(new_status)


def _without_poll_fields(status: SiteStatus) -> SiteStatus:
    source = status.source.model_copy(update={"cursor": ""}) if status.source else None
    return status.model_copy(update={"last_poll_time": None, "source": source})


def _error_reason(error: AnamnesisError) -> str:
    if isinstance(error, SecretMissingError):
        return "SecretMissing"
    return next((reason for error_type, reason in _REASONS if isinstance(error, error_type)), "Unreadable")


def _source_message(source: SourceStatus) -> str:
    if not source.files:
        return "nothing has arrived yet"
    patients_message = f", at most {_count_text(source.patients, 'patient')}" if source.patients else ""
    return _count_text(source.files, "file") + patients_message


def _count_text(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")
