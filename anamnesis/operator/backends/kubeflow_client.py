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

_TIMEOUT_SECONDS = (5.0, 30.0)  # to connect, and between two bytes of an answer
_TRANSIENT_STATUSES = (408, 429, 500, 502, 503, 504)
_GRPC_NOT_FOUND = 5  # gRPC's code
_RETRY_POLICY = Retry(
    total=3,
    read=1,  # after a slow answer: a worker waits for a minute, not for two
    redirect=0,  # it would lead to a page where people log in
    raise_on_redirect=False,
    allowed_methods=("GET",),
    status_forcelist=_TRANSIENT_STATUSES,
    raise_on_status=False,
    backoff_factor=0.1,
    respect_retry_after_header=False,  # the server may say an hour
)


class KubeflowNotFoundError(InputError):
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
        host=endpoint, namespace="unused", ssl_ca_cert=authorities, credentials=_token_credentials(environment)
    )
    rest_client = client.runs.api_client.rest_client
    rest_client.pool_manager.connection_pool_kw["retries"] = _RETRY_POLICY
    rest_client.request = _guard_request(rest_client.request, endpoint)
    return client


def _token_credentials(environment: Mapping[str, str]) -> ServiceAccountTokenVolumeCredentials | None:
    configured_path = environment.get(KF_PIPELINES_SA_TOKEN_ENV)
    path = Path(configured_path or KF_PIPELINES_SA_TOKEN_PATH)
    if path.is_file():
        return ServiceAccountTokenVolumeCredentials(str(path))
    if configured_path:
        raise InputError(f"{KF_PIPELINES_SA_TOKEN_ENV}: {path} is not there; mount the token or unset the variable")
    return None


def _guard_request(request: Callable[..., Any], endpoint: str) -> Callable[..., Any]:
    """By itself the client waits for ever, and takes a page in HTML for an empty list."""

    @wraps(request)
    def guarded_request(method: str, url: str, **settings: Any) -> Any:
        settings["_request_timeout"] = settings.get("_request_timeout") or _TIMEOUT_SECONDS
        response = request(method, url, **settings)
        content_type = response.getheader("Content-Type") or "nothing"
        if not content_type.startswith("application/json"):
            content_type = content_type.partition(";")[0]
            message = f"Kubeflow Pipelines at {endpoint} answers with {content_type}, not with JSON"
            raise InputError(f"{message}; name the server ml-pipeline itself")
        return response

    return guarded_request


@contextmanager
def translate_errors(endpoint: str) -> Iterator[None]:
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
        raise _translate_error(endpoint, error) from None
    except (HTTPError, OSError) as error:
        cause = str(getattr(error, "reason", None) or error).rpartition(": ")[2]
        raise UnreachableError(
            f"Kubeflow Pipelines at {endpoint} does not answer: {cause}; it is tried again. "
            "Look whether backend.kubeflow.endpoint is right and its pod ml-pipeline is ready"
        ) from None


def _translate_error(endpoint: str, error: ApiException) -> AnamnesisError:
    status, body = error.status or 0, _parse_body(error)  # 0: no connection that can be trusted
    message = f"Kubeflow Pipelines at {endpoint}: {status} {_first_message_line(body, error.reason)}"
    if status == 0 or status >= 500 or status in _TRANSIENT_STATUSES:
        return UnreachableError(f"{message}; it is tried again")
    if status in (401, 403):
        return InputError(f"{message}; the operator's service account needs a token and the right for this")
    if status < 400:
        return InputError(f"{message}; it wants people to log in: name the server ml-pipeline itself")
    if status == 404 and body.get("code") == _GRPC_NOT_FOUND:  # and not some other server, that knows no such page
        return KubeflowNotFoundError(message)
    return ConflictError(message) if status == 409 else InputError(message)


def _parse_body(error: ApiException) -> Mapping[str, Any]:
    try:
        body = json.loads(error.body or "null")
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _first_message_line(body: Mapping[str, Any], reason: str) -> str:
    """Returns the first line of what the server said; its details say it without the way there."""
    error_bodies = [*reversed(body.get("details") or ()), body]
    texts = [
        error_body[name]
        for error_body in error_bodies
        for name in ("message", "error_message", "error")
        if error_body.get(name)
    ]
    return str([*texts, reason][0]).strip().partition("\n")[0][:300]
