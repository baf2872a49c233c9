"""Kubeflow's own client with the limits that a controller needs: timeouts, retries, and no HTML pages as results."""

import json
import re
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

from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, UnreachableError

_TIMEOUT_SECONDS = (5.0, 30.0)  # to connect, and between two bytes of a response
_TRANSIENT_STATUSES = (408, 429, 500, 502, 503, 504)
_GRPC_NOT_FOUND = 5  # code of gRPC
_INVALID_INPUT = re.compile(r"(?:Invalid input error|InvalidInputError|BadRequestError): ")
"""Kubeflow answers some invalid requests with the status 500 and names the fault only in the chain of its errors."""
_MESSAGE_FIELDS = ("message", "error_message", "error", "detail")
_LONGEST_MESSAGE = 300
_NO_MESSAGE = "Internal Server Error"
_RETRY_POLICY = Retry(
    total=3,
    read=1,  # after a timeout: a worker waits for one minute at most
    redirect=0,  # the target would be a login page
    raise_on_redirect=False,
    allowed_methods=("GET",),
    status_forcelist=_TRANSIENT_STATUSES,
    raise_on_status=False,
    backoff_factor=0.1,
    respect_retry_after_header=False,  # the server may send an hour
)


class KubeflowNotFoundError(InputError):
    """The server does not have the object, or no longer."""


def connect(endpoint: str, environment: Mapping[str, str]) -> "kfp.Client":
    """Returns a client of the server at ``endpoint``; sends no request yet.

    The client uses the token that the cluster projects (audience ``pipelines.kubeflow.org``), if there is one. It reads
    the file again for every request.

    Raises:
        InputError: the environment names a missing token file.
    """
    # Without a namespace the client requests one from the server five times, and writes the result to $HOME. All calls
    # here pass their own namespace, so this one is never sent.
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
        raise InputError(
            f"{KF_PIPELINES_SA_TOKEN_ENV}: the file {path} does not exist; mount the token, or unset the variable"
        )
    return None


def _guard_request(request: Callable[..., Any], endpoint: str) -> Callable[..., Any]:
    """Adds a timeout and a check of the response.

    The client itself takes a page in HTML, and a list that was cut on its way, for an empty list. The operator would
    then submit runs that exist.
    """

    @wraps(request)
    def guarded_request(method: str, url: str, **settings: Any) -> Any:
        settings["_request_timeout"] = settings.get("_request_timeout") or _TIMEOUT_SECONDS
        response = request(method, url, **settings)
        content_type = response.getheader("Content-Type") or "nothing"
        data = response.data if isinstance(response.data, bytes) else str(response.data).encode()
        if not content_type.startswith("application/json"):
            content_type = content_type.partition(";")[0]
            message = f"Kubeflow Pipelines at {endpoint}: expected JSON, found {content_type}"
            raise InputError(f"{message}; set spec.backend.kubeflow.endpoint to the server ml-pipeline itself")
        if not (data.lstrip().startswith(b"{") and data.rstrip().endswith(b"}")):
            raise UnreachableError(
                f"Kubeflow Pipelines at {endpoint}: the response is empty, cut, or not an object in JSON; the operator "
                "retries. If this lasts, set spec.backend.kubeflow.endpoint to the server ml-pipeline itself"
            )
        return response

    return guarded_request


@contextmanager
def translate_errors(endpoint: str) -> Iterator[None]:
    """Translates the client's errors into errors that a person can act on.

    Raises:
        UnreachableError: the server is unreachable or fails; the same call may succeed later.
        ConflictError: the object exists already.
        KubeflowNotFoundError: the object does not exist.
        RefusedError: the operator lacks a right.
        InputError: the server refuses the call, and would refuse it again.
    """
    try:
        yield
    except ApiException as error:
        raise _translate_error(endpoint, error) from None
    except UnicodeDecodeError:
        raise UnreachableError(
            f"Kubeflow Pipelines at {endpoint}: the response is not text in UTF-8; the operator retries. "
            "If this lasts, set spec.backend.kubeflow.endpoint to the server ml-pipeline itself"
        ) from None
    except ValueError as error:
        if "header" not in str(error).lower():
            raise
        raise InputError(  # the error quotes the header
            f"Kubeflow Pipelines at {endpoint}: the operator's token has a line end or another byte that cannot be "
            "sent; project the token again"
        ) from None
    except (HTTPError, OSError) as error:
        cause = str(getattr(error, "reason", None) or error).rpartition(": ")[2]
        raise UnreachableError(
            f"Kubeflow Pipelines at {endpoint} is unreachable: {cause}; the operator retries. "
            "Check spec.backend.kubeflow.endpoint, and that the pod ml-pipeline is ready"
        ) from None


def _translate_error(endpoint: str, error: ApiException) -> AnamnesisError:
    status, body = error.status or 0, _parse_body(error)  # 0: the TLS handshake failed
    fault = _invalid_input(body) if status >= 500 else ""
    message = f"Kubeflow Pipelines at {endpoint}: {status} {fault or _first_message_line(body, error.reason)}"
    if fault:
        return InputError(f"{message}; correct what this names, in spec.backend.kubeflow or in the name of the model")
    if status == 0 or status >= 500 or status in _TRANSIENT_STATUSES:
        return UnreachableError(f"{message}; the operator retries")
    if status in (401, 403):
        return RefusedError(f"{message}; give the operator's service account a token, and the right to create runs")
    if status < 400:
        return InputError(
            f"{message}; this is a login page: set spec.backend.kubeflow.endpoint to the server ml-pipeline itself"
        )
    if status == 404 and body.get("code") == _GRPC_NOT_FOUND:  # another kind of server has no gRPC code
        return KubeflowNotFoundError(f"{message}; the object was deleted on this server")
    if status == 409:
        return ConflictError(f"{message}; an object of this name exists already; the operator retries")
    return InputError(f"{message}; check spec.backend.kubeflow, and the log of the pod ml-pipeline")


def _parse_body(error: ApiException) -> Mapping[str, Any]:
    """Returns the server's error; of a proxy, which answers in plain text, its words as the message."""
    text = str(error.body or "").strip()
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    return body if isinstance(body, dict) else {"message": body}


def _invalid_input(body: Mapping[str, Any]) -> str:
    """Returns what is invalid about a request, where the server says so under a status that means an outage."""
    lines = [line for line in _message_lines(body) if _INVALID_INPUT.search(line)]
    return _shorten(_INVALID_INPUT.split(lines[0])[-1]) if lines else ""


def _first_message_line(body: Mapping[str, Any], reason: str) -> str:
    """Returns the first line of the server's message; the details have it without the call stack, or say nothing."""
    return next(iter([*_message_lines(body), _shorten(str(reason or "")), "no message"]))


def _message_lines(body: Mapping[str, Any]) -> list[str]:
    """Returns the first line of each message in an error: servers and proxies have it in different fields."""
    details = body.get("details")
    bodies = [*reversed(details if isinstance(details, list) else [details]), body]
    texts = [
        text
        for error_body in bodies
        for text in (map(error_body.get, _MESSAGE_FIELDS) if isinstance(error_body, dict) else [error_body])
    ]
    texts = [text.get("message") if isinstance(text, dict) else text for text in texts]
    lines = [_shorten(text) for text in texts if isinstance(text, str)]
    return [line for line in lines if line and line != _NO_MESSAGE]


def _shorten(text: str) -> str:
    """Returns the first line of a text, as far as it can be printed and is short enough; of a page in HTML, nothing."""
    line = "" if text.strip().startswith("<") else text.strip().partition("\n")[0]
    return "".join(character for character in line if character.isprintable()).strip()[:_LONGEST_MESSAGE]
