"""Kubeflow's own client, made safe for a controller: it never waits for ever, and takes no page for an answer."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import kfp
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH, ServiceAccountTokenVolumeCredentials
from kfp_server_api import ApiException
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from anamnesis.records import AnamnesisError, ConflictError, InputError, UnreachableError

_SECONDS = (5.0, 30.0)  # to connect, and between two bytes of an answer
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_NOT_FOUND = 5  # gRPC's code
_RETRY = Retry(
    total=3,
    read=1,  # after a slow answer: a worker waits for a minute, not for two
    redirect=0,  # it would lead to a page where people log in
    raise_on_redirect=False,
    allowed_methods=("GET",),
    status_forcelist=_TRANSIENT,
    raise_on_status=False,
    backoff_factor=0.1,
    respect_retry_after_header=False,  # the server may say an hour
)


class GoneError(InputError):
    """The server does not have it, or no longer."""


def connect(endpoint: str, environment: Mapping[str, str]) -> "kfp.Client":
    """Returns a client of the server at ``endpoint``; asks it nothing yet.

    With the token that the cluster projects (audience ``pipelines.kubeflow.org``), where there is one; its file is read
    anew for every request.

    Raises:
        InputError: the environment names a token that is not there.
    """
    # Without a namespace the client asks the server for one, five times, and writes what it hears to $HOME. All calls
    # here name their own, so this one is never sent.
    authorities = environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
    client = kfp.Client(
        host=endpoint, namespace="unused", ssl_ca_cert=authorities, credentials=_credentials(environment)
    )
    rest = client.runs.api_client.rest_client
    rest.pool_manager.connection_pool_kw["retries"] = _RETRY
    rest.request = _guarded(rest.request, endpoint)
    return client


def _credentials(environment: Mapping[str, str]) -> ServiceAccountTokenVolumeCredentials | None:
    named = environment.get(KF_PIPELINES_SA_TOKEN_ENV)
    path = Path(named or KF_PIPELINES_SA_TOKEN_PATH)
    if path.is_file():
        return ServiceAccountTokenVolumeCredentials(str(path))
    if named:
        raise InputError(f"{KF_PIPELINES_SA_TOKEN_ENV}: {path} is not there; mount the token or unset the variable")
    return None


def _guarded(request: Callable[..., Any], endpoint: str) -> Callable[..., Any]:
    """By itself the client waits for ever, and takes a page in HTML for an empty list."""

    @wraps(request)
    def call(method: str, url: str, **settings: Any) -> Any:
        settings["_request_timeout"] = settings.get("_request_timeout") or _SECONDS
        response = request(method, url, **settings)
        kind = response.getheader("Content-Type") or "nothing"
        if not kind.startswith("application/json"):
            kind = kind.partition(";")[0]
            said = f"Kubeflow Pipelines at {endpoint} answers with {kind}, not with JSON"
            raise InputError(f"{said}; name the server ml-pipeline itself")
        return response

    return call


@contextmanager
def errors_told(endpoint: str) -> Iterator[None]:
    """Turns what the client raises into errors that a person can act on.

    Raises:
        UnreachableError: no answer, or none of sense; the same call may succeed later.
        ConflictError: it is there already.
        GoneError: it is not there.
        InputError: the server refuses it, and would again.
    """
    try:
        yield
    except ApiException as error:
        raise _told(endpoint, error) from None
    except (HTTPError, OSError) as error:
        why = str(getattr(error, "reason", None) or error).rpartition(": ")[2]
        raise UnreachableError(
            f"Kubeflow Pipelines at {endpoint} does not answer: {why}; it is tried again. "
            "Look whether backend.kubeflow.endpoint is right and its pod ml-pipeline is ready"
        ) from None


def _told(endpoint: str, error: ApiException) -> AnamnesisError:
    status, body = error.status or 0, _body(error)  # 0: no connection that can be trusted
    said = f"Kubeflow Pipelines at {endpoint}: {status} {_line(body, error.reason)}"
    if status == 0 or status >= 500 or status in _TRANSIENT:
        return UnreachableError(f"{said}; it is tried again")
    if status in (401, 403):
        return InputError(f"{said}; the operator's service account needs a token and the right for this")
    if status < 400:
        return InputError(f"{said}; it wants people to log in: name the server ml-pipeline itself")
    if status == 404 and body.get("code") == _NOT_FOUND:  # and not some other server, that knows no such page
        return GoneError(said)
    return ConflictError(said) if status == 409 else InputError(said)


def _body(error: ApiException) -> Mapping[str, Any]:
    try:
        body = json.loads(error.body or "null")
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _line(body: Mapping[str, Any], reason: str) -> str:
    """Returns the first line of what the server said; its details say it without the way there."""
    said = [*reversed(body.get("details") or ()), body]
    texts = [one[name] for one in said for name in ("message", "error_message", "error") if one.get(name)]
    return str([*texts, reason][0]).strip().partition("\n")[0][:300]
