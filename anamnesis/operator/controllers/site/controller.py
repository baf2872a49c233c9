"""Brings a Site in order: looks at its source and says in its status what lies there, or why nobody can tell."""

import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from anamnesis.operator.addresses import source_url
from anamnesis.operator.api.conditions import condition, merge
from anamnesis.operator.api.durations import duration
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.status import SiteStatus, SourceStatus
from anamnesis.operator.polling.poll import look
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.records.timestamps import Clock
from anamnesis.storage import MissingError, NoBucketError

_JITTER = 0.1
_MENDED = timedelta(minutes=1)
"""What cannot be read is looked at so often, however long ``pollInterval`` is: whoever mends it wants to see it."""
_POLLS_A_WRITE = 3
"""A look that finds nothing new is told every so many times: each word is a write to the API server."""
_REASONS: tuple[tuple[type[AnamnesisError], str], ...] = (
    (UnreachableError, "Unreachable"),
    (RefusedError, "Refused"),
    (MissingError, "NotFound"),
    (NoBucketError, "NotFound"),
    (InputError, "Invalid"),
)
_CREDENTIALS = {"username": "DICOM_USERNAME", "password": "DICOM_PASSWORD", "token": "DICOM_TOKEN"}


class SecretMissingError(InputError):
    """The Secret with a source's credentials is not there, or may not be read."""


def reconcile_site(cluster: Cluster, key: Key, clock: Clock, environment: Mapping[str, str]) -> timedelta | None:
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
    secret = _secret(cluster, site)
    now = clock()
    status = _status(site, secret, environment, now)
    interval = duration(site.spec.source.poll_interval)
    if _worth_telling(site.status, status, _POLLS_A_WRITE * interval):
        cluster.put_status(site, status)
    wait = interval if status.holds("Readable") else min(interval, _MENDED)
    return wait * random.Random(f"{key} {now}").uniform(1 - _JITTER, 1 + _JITTER)


def source_variables(secret: Iterable[str]) -> dict[str, str]:
    """Returns key -> environment variable for the keys of a source's Secret.

    ``username``, ``password`` and ``token`` become ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN``; keys in
    capitals, like ``AWS_ACCESS_KEY_ID``, stay; others are passed over.
    """
    named = {key: _CREDENTIALS.get(key, key) for key in secret}
    return {key: name for key, name in named.items() if name.isidentifier() and name.isupper()}


def source_environment(secret: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment that a source's Secret stands for; a line's end, as a file brings it, goes."""
    return {name: secret[key].rstrip("\r\n") for key, name in source_variables(secret).items()}


def _secret(cluster: Cluster, site: Site) -> Mapping[str, str] | None:
    """The Secret's contents, empty where none is named, none where it cannot be read."""
    reference = site.spec.source.credentials_secret
    return cluster.secret(site.metadata.namespace or "", reference.name) if reference else {}


def _status(site: Site, secret: Mapping[str, str] | None, environment: Mapping[str, str], now: datetime) -> SiteStatus:
    """What one look gives."""
    generation, before = site.metadata.generation, site.status
    known = before.source if before.observed_generation == generation else None
    source = known  # with another spec, what was known may be of another source
    try:
        found = _look(site, known, before.source, secret, environment, now)
        source, readable = found, condition("Readable", True, "Readable", _told(found))
    except AnamnesisError as error:
        readable = condition("Readable", False, _reason(error), str(error))
    conditions = merge(before.conditions, (readable,), generation, now)
    found_now = {"observed_generation": generation, "conditions": conditions, "source": source, "polled": now}
    return before.model_copy(update=found_now)


def _look(
    site: Site,
    known: SourceStatus | None,
    before: SourceStatus | None,
    secret: Mapping[str, str] | None,
    environment: Mapping[str, str],
    now: datetime,
) -> SourceStatus:
    if secret is None:
        name = site.spec.source.credentials_secret.name if site.spec.source.credentials_secret else ""
        raise SecretMissingError(f"spec.source.credentialsSecret: there is no Secret {name!r} that may be read")
    own = {name: text for name, text in environment.items() if name not in _CREDENTIALS.values()}
    url = source_url(site.spec.source, None)
    glance = look(url, site.spec.labels.manifest or "", known.cursor if known else "", own | source_environment(secret))
    found = glance.arrival
    if found is None:
        if known is None:
            raise InputError(f"{url}: a look without a cursor found nothing to tell")
        return known.model_copy(update={"cursor": glance.cursor})
    same = before is not None and before.fingerprint == found.fingerprint
    changed = before.changed if before is not None and same else now.replace(microsecond=0)
    return SourceStatus(
        fingerprint=found.fingerprint,
        files=found.files,
        patients=found.patients,
        changed=changed,
        cursor=glance.cursor,
    )


def _worth_telling(before: SiteStatus, now: SiteStatus, patience: timedelta) -> bool:
    """Whether more has changed than the time of the look and how far a feed was read, or that is long ago."""
    due = before.polled is None or now.polled is None or now.polled - before.polled >= patience
    return due or _without_the_look(before) != _without_the_look(now)


def _without_the_look(status: SiteStatus) -> SiteStatus:
    source = status.source.model_copy(update={"cursor": ""}) if status.source else None
    return status.model_copy(update={"polled": None, "source": source})


def _reason(error: AnamnesisError) -> str:
    if isinstance(error, SecretMissingError):
        return "SecretMissing"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "Unreadable")


def _told(source: SourceStatus) -> str:
    if not source.files:
        return "nothing has arrived yet"
    most = f", at most {_counted(source.patients, 'patient')}" if source.patients else ""
    return _counted(source.files, "file") + most


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
