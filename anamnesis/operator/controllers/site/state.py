"""Reads the state of one Site: its Secret, and its source by one poll."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from anamnesis.operator.addresses import source_url
from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.status import SourceStatus
from anamnesis.operator.polling.poll import poll_source
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.source_credentials import (
    AWS_KEYS,
    DICOM_VARIABLES,
    REQUIRED_SECRET_KEYS,
    SecretMissingError,
    source_environment,
)
from anamnesis.operator.spec_checks import find_site_problem
from anamnesis.records import AnamnesisError, InputError, RefusedError


@dataclass(frozen=True, slots=True)
class PolledSource:
    """A Site and the result of one poll of its source.

    Attributes:
        site: the resource.
        source: the state of the source; the last known one where the poll failed; none where none is known.
        error: why the poll failed, or none.
        now: when the source was polled.
        note: what could not be checked about the listing, for a person; else empty.
    """

    site: Site
    source: SourceStatus | None
    error: AnamnesisError | None
    now: datetime
    note: str = ""


def poll_site(cluster: Cluster, site: Site, environment: Mapping[str, str], now: datetime) -> PolledSource:
    """Polls the source of a site once; a failure of the source becomes ``error``.

    Args:
        cluster: holds the Secret.
        site: which site.
        environment: of the operator; the Secret's credentials take precedence.
        now: the time, UTC.

    Raises:
        UnreachableError: the API server is not reachable.
    """
    secret, known_source = _read_secret(cluster, site), _known_source(site)
    try:
        _check_spec(site)
        if secret is None:
            name = site.spec.source.credentials_secret.name if site.spec.source.credentials_secret else ""
            raise SecretMissingError(
                f"spec.source.credentialsSecret: the Secret {name!r} does not exist or is not readable; "
                "create the Secret in the Site's namespace, or give the operator the right to read it"
            )
        _check_secret_keys(site, secret)
        _check_split_key(cluster, site)
        operator_environment = {name: value for name, value in environment.items() if name not in DICOM_VARIABLES}
        source_variables = operator_environment | source_environment(secret)
        _check_bucket_keys(site, source_variables)
        source, note = _poll(site, source_variables, now)
        return PolledSource(site, source, None, now, note)
    except RefusedError as error:
        lacks_secret = site.spec.source.type in ("DICOMweb", "Orthanc") and not site.spec.source.credentials_secret
        hint = ", in a Secret that spec.source.credentialsSecret names; it names none" if lacks_secret else ""
        return PolledSource(site, known_source, RefusedError(f"{error}{hint}"), now)
    except AnamnesisError as error:
        return PolledSource(site, known_source, error, now)


def _check_spec(site: Site) -> None:
    """Refuses what the API server accepts, and what means nothing on a cluster.

    Raises:
        InputError: names the field.
    """
    source_url(site.spec, None)
    if not site.spec.store.startswith(("s3://", "file:///")):
        raise InputError(
            "spec.store: expected s3://bucket/prefix or file:///absolute/path on a cluster, "
            f"found {site.spec.store!r}; correct the address"
        )
    if problem := find_site_problem(LoadedResource(site, Path("/"))):
        raise InputError(problem)


def _check_secret_keys(site: Site, secret: Mapping[str, str]) -> None:
    """Refuses a Secret without the keys that the type of the source needs.

    Raises:
        InputError: names the Secret and its missing keys, never a value.
    """
    reference, source_type = site.spec.source.credentials_secret, site.spec.source.type
    choices = REQUIRED_SECRET_KEYS.get(source_type, ())
    if reference and choices and not any(set(keys) <= set(secret) for keys in choices):
        needed = " or ".join(" and ".join(keys) for keys in choices)
        raise InputError(
            f"spec.source.credentialsSecret: the Secret {reference.name!r} needs the keys {needed} for a source of "
            f"type {source_type}, and has {', '.join(sorted(secret)) or 'no key'}; add the keys"
        )


def _check_bucket_keys(site: Site, environment: Mapping[str, str]) -> None:
    """Refuses a source or a label manifest in a bucket whose keys nobody gave.

    Raises:
        InputError: names the field of the bucket, and where its keys belong.
    """
    manifest = site.spec.labels.manifest or ""
    field = "spec.labels.manifest" if manifest.startswith("s3://") else ""
    field = "spec.source" if site.spec.source.type == "S3" else field
    if not field or all(environment.get(key) for key in AWS_KEYS):
        return
    reference = site.spec.source.credentials_secret
    remedy = (
        f"add them to the Secret {reference.name!r}"
        if reference
        else "write them into a Secret of the Site's namespace, and name it in spec.source.credentialsSecret"
    )
    raise InputError(f"{field} is in a bucket, and nobody gave its keys, {' and '.join(AWS_KEYS)}; {remedy}")


def _check_split_key(cluster: Cluster, site: Site) -> None:
    """Refuses a split key in a Secret that is missing or lacks the key: each run of the Site needs it.

    Raises:
        InputError: names the Secret and the key.
    """
    reference = site.spec.split_key.secret if site.spec.split_key else None
    if reference is None:
        return
    secret = cluster.read_secret(site.metadata.namespace or "", reference.name)
    if secret is None:
        raise SecretMissingError(
            f"spec.splitKey.secret: the Secret {reference.name!r} does not exist or is not readable; "
            "create the Secret in the Site's namespace, or give the operator the right to read it"
        )
    if reference.key not in secret:
        raise InputError(
            f"spec.splitKey.secret: the Secret {reference.name!r} has no key {reference.key!r}; "
            "add the key, or set spec.splitKey.secret.key"
        )


def _read_secret(cluster: Cluster, site: Site) -> Mapping[str, str] | None:
    """The Secret's contents, empty where the site names none, none where the Secret is not readable."""
    reference = site.spec.source.credentials_secret
    return cluster.read_secret(site.metadata.namespace or "", reference.name) if reference else {}


def _known_source(site: Site) -> SourceStatus | None:
    """The source as it was polled last; none after a change of the spec, which may name another source."""
    return site.status.source if site.status.observed_generation == site.metadata.generation else None


def _poll(site: Site, environment: Mapping[str, str], now: datetime) -> tuple[SourceStatus, str]:
    """Returns the state of the source, and the note of the poll."""
    known_source, previous_source = _known_source(site), site.status.source
    url, cursor = source_url(site.spec, None), known_source.cursor if known_source else ""
    poll_result = poll_source(url, site.spec.labels.manifest or "", cursor, environment)
    source_state = poll_result.source_state
    if source_state is None:
        if known_source is None:
            raise InputError(
                f"{url}: the first poll returned no listing; this is a fault of the program; "
                "report it with the operator's log"
            )
        return known_source.model_copy(update={"cursor": poll_result.cursor}), poll_result.note
    is_unchanged = previous_source is not None and previous_source.fingerprint == source_state.fingerprint
    fields = {
        "fingerprint": source_state.fingerprint,
        "files": source_state.files,
        "patients": source_state.patients,
        "last_change_time": (
            previous_source.last_change_time
            if previous_source is not None and is_unchanged
            else now.replace(microsecond=0)
        ),
        "cursor": poll_result.cursor,
    }
    return SourceStatus.model_validate(fields, by_name=True, by_alias=False), poll_result.note
