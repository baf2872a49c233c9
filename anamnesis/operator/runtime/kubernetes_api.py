"""Requests to a Kubernetes API server: JSON in, JSON out, errors of this project."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlencode

import urllib3

from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.api_access import ApiAccess
from anamnesis.operator.runtime.cluster import ClusterDownError
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError
from anamnesis.storage.certificates import certificate_problem, certificate_remedy

JsonDocument = Mapping[str, Any]
JSON = "application/json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accepted for a listing without specs and statuses."""
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "anamnesis-operator"
_UNAUTHORIZED, _CONFLICT, _NOT_FOUND, _GONE, _INVALID = 401, 409, 404, 410, 422
_RETRYABLE_STATUSES = (408, 429)
"""Besides 5xx: a timeout, too many requests."""
_NO_QUERY: Mapping[str, str] = MappingProxyType({})
_AS_US = {"fieldManager": FIELD_MANAGER}
_CONNECTIONS = 16
"""Connections that stay open: each worker uses one at a time."""
_PAGE_SIZE = 250
"""Objects of one page of a listing."""
_WATCH_SECONDS, _WATCH_SILENCE_SECONDS = 300, 100.0
"""When the server ends a watch; and without a change or a bookmark, which come each minute, the connection is dead."""
_NO_RETRY = urllib3.Retry(0)
"""The queue tries again; retries of the client would outlast the Lease."""

_BAD_TOKEN_MESSAGE = (
    "{}: the token for the API server has a line end or another byte that cannot be sent; write the token again"
)


def to_single_line(error: object) -> str:
    """Returns the text of an error without line ends."""
    return " ".join(str(error).split())


def describe_connection_error(error: Exception) -> str:
    """Returns why a request did not reach the API server, from the exception of the client."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.SSLError):
        problem = certificate_problem(reason)
        remedy = certificate_remedy(problem, "check the authority in the kubeconfig")
        return f"no trusted TLS connection to the API server: {problem}; {remedy}"
    return f"the API server does not answer ({type(reason).__name__})"


class KubernetesApi:
    """One API server. Every call sends a request; nothing is cached.

    Args:
        access: from ``load_access``.
        timeout: seconds within which the API server must answer a request.
        guard: called before each request; an exception that it raises stops the request.
    """

    def __init__(self, access: ApiAccess, timeout: float = 10, guard: Callable[[], None] = lambda: None) -> None:
        self._access, self.guard, self._timeout = access, guard, timeout
        options: dict[str, Any] = {"ssl_context": access.tls_context(), "maxsize": _CONNECTIONS}
        if access.server_name:
            options["server_hostname"] = access.server_name
        self._http = urllib3.PoolManager(**options)
        if access.proxy:
            login = urllib3.util.parse_url(access.proxy).auth
            headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
            self._http = urllib3.ProxyManager(access.proxy, proxy_headers=headers, **options)

    def get(self, path: str, **query: str) -> JsonDocument | None:
        """Returns the document at a path; none where there is none."""
        return self._request_or_none("get", path, query=query)

    def create(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Adds a document to a collection; returns none where its name is taken.

        Raises:
            InputError: the document is invalid; the message names the fields, not their values.
        """
        try:
            return self.request("post", path, document, _AS_US)
        except ConflictError:
            return None

    def replace(self, path: str, document: JsonDocument) -> JsonDocument:
        """Replaces a document.

        Raises:
            ConflictError: the ``resourceVersion`` of the document is out of date.
        """
        return self.request("put", path, document, _AS_US)

    def apply(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Applies a document server-side, taking fields from other managers; returns none where it is gone."""
        return self._request_or_none("patch", path, document, {**_AS_US, "force": "true"}, APPLY_PATCH)

    def patch(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Merges a document into the document at a path; returns none where that is gone.

        Raises:
            ConflictError: the ``resourceVersion`` of the document is out of date.
        """
        return self._request_or_none("patch", path, document, _AS_US, MERGE_PATCH)

    def delete(self, path: str, uid: str) -> None:
        """Deletes the object with this ``uid``; does nothing where it is gone."""
        try:
            self._request_or_none("delete", path, {"preconditions": {"uid": uid}} if uid else None)
        except ConflictError:
            return  # the name belongs to another object by now

    def list_pages(self, path: str, accept: str = JSON) -> Iterator[JsonDocument]:
        """Yields a collection in pages, so that a large one does not fill the memory.

        Raises:
            ResourceVersionGoneError: the listing took too long; start again.
        """
        token = ""
        while True:
            query = {"limit": str(_PAGE_SIZE), **({"continue": token} if token else {})}
            page = self.request("get", path, query=query, accept=accept)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def watch(self, path: str, version: str) -> Iterator[tuple[str, JsonDocument]]:
        """Yields type and object of each change of a collection after ``version``, until the server ends the watch.

        A bookmark has only the version up to which nothing else changed.

        Raises:
            ResourceVersionGoneError: the server no longer knows ``version``: list again.
            ClusterDownError: the connection broke, or nothing came for too long, not even a bookmark.
        """
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        request_line = f"WATCH {path}"
        response = self._send(
            "get", path, query | {"timeoutSeconds": str(_WATCH_SECONDS)}, stream_timeout=_WATCH_SILENCE_SECONDS
        )
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise _translate_error(
                        status.get("code", 500), status.get("reason", ""), json.dumps(status).encode(), request_line
                    )
                yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterDownError(f"{request_line}: {describe_connection_error(error)}") from error
        finally:
            response.close()

    def request(
        self,
        method: str,
        path: str,
        body: JsonDocument | None = None,
        query: Mapping[str, str] = _NO_QUERY,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> JsonDocument:
        """Sends a request.

        Raises:
            ClusterDownError: the API server is unreachable, or asks to try again later.
            ConflictError: another writer was first.
            InputError: the document is invalid, or the path does not exist.
            RefusedError: our account lacks the right, or a policy forbids the request.
        """
        document: JsonDocument = json.loads(self._send(method, path, query, body, content_type, accept).data)
        return document

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = _NO_QUERY,
        body: JsonDocument | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        stream_timeout: float = 0,
    ) -> urllib3.BaseHTTPResponse:
        """Sends a request; with ``stream_timeout`` the answer is read as it comes, with this time between two reads."""
        self.guard()
        request_line = f"{method.upper()} {path}"
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        if authorization := self._access.read_authorization():
            headers["Authorization"] = authorization
        try:
            response = self._http.request(
                method.upper(),
                f"{self._access.server}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=self._timeout, read=stream_timeout or self._timeout),
                retries=_NO_RETRY,
                preload_content=not stream_timeout,
            )
            if response.status < 400:
                return response
            if response.status == _UNAUTHORIZED:
                raise ClusterDownError(_refused_token_message(request_line, response.headers.get("Date", "")))
            raise _translate_error(response.status, response.reason or "", response.data, request_line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterDownError(f"{request_line}: {describe_connection_error(error)}") from error
        except ValueError as error:
            if "header" not in str(error).lower():
                raise
            raise InputError(_BAD_TOKEN_MESSAGE.format(request_line)) from None  # it quotes the header

    def _request_or_none(self, method: str, path: str, *arguments: Any, **options: Any) -> JsonDocument | None:
        try:
            return self.request(method, path, *arguments, **options)
        except _ObjectNotFoundError:
            return None


class _ObjectNotFoundError(InputError):
    """The path does not exist."""


class ResourceVersionGoneError(AnamnesisError):
    """The API server no longer knows the version from which a watch or a listing continues."""


def _translate_error(code: int, reason: str, body: bytes, request_line: str) -> AnamnesisError:
    """Returns the error as one of ours; for an invalid document it names fields only: values may be confidential."""
    if code in _RETRYABLE_STATUSES or code >= 500:
        return ClusterDownError(
            f"{request_line}: the API server answers {code} {reason}; if this lasts, check the API server"
        )
    status = _parse_status(body)
    if code == _NOT_FOUND:
        return _ObjectNotFoundError(
            f"{request_line}: not found on the API server; check the name and the namespace, and that the custom "
            "resource definitions (manifests/crds) are installed"
        )
    if code == _GONE:
        return ResourceVersionGoneError(f"{request_line}: the API server no longer has this version; list again")
    if code == _CONFLICT:
        if request_line.startswith("POST "):
            return ConflictError(f"{request_line}: an object of this name exists already; use another name")
        return ConflictError(f"{request_line}: another writer changed the object meanwhile; try again")
    if code == _INVALID:
        fields = ", ".join(cause.get("field", "?") for cause in status.get("details", {}).get("causes", ()))
        if fields:
            return InputError(f"{request_line}: the API server rejects invalid fields; correct them: {fields}")
        return InputError(f"{request_line}: the API server rejects the object as invalid: {status.get('reason')}")
    return RefusedError(
        f"{request_line}: the API server refuses with {code}: {status.get('message', reason)}; "
        "if a right is missing, let a cluster administrator grant it"
    )


def _refused_token_message(request_line: str, server_time: str) -> str:
    """Says by how much the clocks differ, where the response has its time and that is a minute or more."""
    try:
        minutes = round((datetime.now(UTC) - parsedate_to_datetime(server_time)) / timedelta(minutes=1))
    except (TypeError, ValueError):
        minutes = 0
    order = "ahead of" if minutes > 0 else "behind"
    clocks = f"; our clock is {abs(minutes)} minutes {order} the server's" if minutes else ""
    return (
        f"{request_line}: the API server does not accept our token (401){clocks}; if this lasts, check that the "
        "account exists, and compare the clocks: a token has expired, or is not valid yet"
    )


def _parse_status(body: bytes) -> JsonDocument:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}


def resource_path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Returns the path of one of our resources, of its subresource, or of a kind; an empty namespace means all."""
    prefix = f"/apis/{API_VERSION}" + (f"/namespaces/{namespace}" if namespace else "")
    return "/".join(filter(None, (prefix, f"{kind.lower()}s", name, subresource)))


def check_kinds_installed(api: KubernetesApi) -> None:
    """Checks that our custom resource definitions are installed.

    Raises:
        InputError: a kind is missing, or its status subresource.
    """
    served_names = {entry["name"] for entry in (api.get(f"/apis/{API_VERSION}") or {}).get("resources", ())}
    required_names = {name for kind in KINDS for name in (f"{kind.lower()}s", f"{kind.lower()}s/status")}
    if missing_names := sorted(required_names - served_names):
        raise InputError(
            f"the API server does not serve {', '.join(missing_names)} of {API_VERSION}: "
            "install the custom resource definitions: kubectl apply --server-side -f manifests/crds"
        )
