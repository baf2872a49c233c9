"""Requests to a Kubernetes API server: JSON in, JSON out, errors of this project."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ApiException, DynamicApiError

from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.cluster import ClusterDownError
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError

JsonDocument = Mapping[str, Any]
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "anamnesis-operator"
_CONFLICT, _NOT_FOUND, _INVALID = 409, 404, 422
KUBECONFIG_ERRORS = (ConfigException, yaml.YAMLError, OSError, TypeError, ValueError, AttributeError)
"""What the client raises where a kubeconfig is missing or malformed."""
_RETRYABLE_STATUSES = (0, 401, 408, 429)
"""Besides 5xx: no answer, a token that is not valid yet or has expired, a timeout, too many requests."""

_BAD_TOKEN_MESSAGE = (
    "{}: the token for the API server has a line end or another byte that cannot be sent; write the token again"
)


def load_configuration(environment: Mapping[str, str], kubeconfig: str = "", context: str = "") -> Configuration:
    """Returns the address of the API server and our credentials: from a kubeconfig, or of the pod's service account.

    Args:
        environment: its ``KUBECONFIG`` names the file where ``kubeconfig`` is empty.
        kubeconfig: path of a kubeconfig; it has precedence.
        context: name of a context in the kubeconfig; empty for the current context.

    Raises:
        InputError: no kubeconfig exists outside a pod, or it is unreadable.
    """
    configuration = Configuration()
    configuration.retries = urllib3.Retry(0)  # the queue retries; retries of the client would outlast the Lease
    file = kubeconfig or environment.get("KUBECONFIG", "")
    try:
        if not file and "KUBERNETES_SERVICE_HOST" in environment:
            load_incluster_config(configuration)
        else:
            load_kube_config(file or "~/.kube/config", context or None, configuration, persist_config=False)
    except KUBECONFIG_ERRORS as error:
        source = file or "neither a pod's service account nor ~/.kube/config"
        raise InputError(
            f"no access to an API server ({source}): {to_single_line(error)}; set --kubeconfig or KUBECONFIG"
        ) from None
    return configuration


def to_single_line(error: object) -> str:
    """Returns the text of an error without line ends."""
    return " ".join(str(error).split())


def describe_connection_error(error: Exception) -> str:
    """Returns why a request did not reach the API server, from the exception of the client."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.SSLError):
        tls_message = re.sub(r" \(_ssl\S*\)$", "", to_single_line(reason)).rpartition("] ")[2]
        return f"no trusted TLS connection to the API server: {tls_message}"
    return f"the API server does not answer ({type(reason).__name__})"


class KubernetesApi:
    """One API server. Every call sends a request; nothing is cached.

    Args:
        configuration: from ``load_configuration``.
        timeout: seconds within which the API server must answer a request.
        guard: called before each request; an exception that it raises stops the request.
    """

    def __init__(
        self, configuration: Configuration, timeout: float = 10, guard: Callable[[], None] = lambda: None
    ) -> None:
        self._timeout, self.guard = timeout, guard
        self._client = DynamicClient(ApiClient(configuration), discoverer=lambda client, file: None)

    def get(self, path: str, **query: str) -> JsonDocument | None:
        """Returns the document at a path; none where there is none."""
        return self._request_or_none("get", path, query_params=list(query.items()))

    def create(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Adds a document to a collection; returns none where its name is taken.

        Raises:
            InputError: the document is invalid; the message names the fields, not their values.
        """
        try:
            return self.request("post", path, body=document, field_manager=FIELD_MANAGER)
        except ConflictError:
            return None

    def replace(self, path: str, document: JsonDocument) -> JsonDocument:
        """Replaces a document.

        Raises:
            ConflictError: the ``resourceVersion`` of the document is out of date.
        """
        return self.request("put", path, body=document, field_manager=FIELD_MANAGER)

    def apply(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Applies a document server-side, taking fields from other managers; returns none where it is gone."""
        return self._request_or_none(
            "patch", path, body=document, content_type=APPLY_PATCH, field_manager=FIELD_MANAGER, force_conflicts=True
        )

    def patch(self, path: str, document: JsonDocument) -> JsonDocument | None:
        """Merges a document into the document at a path; returns none where that is gone.

        Raises:
            ConflictError: the ``resourceVersion`` of the document is out of date.
        """
        return self._request_or_none(
            "patch", path, body=document, content_type=MERGE_PATCH, field_manager=FIELD_MANAGER
        )

    def delete(self, path: str, uid: str) -> None:
        """Deletes the object with this ``uid``; does nothing where it is gone."""
        try:
            self._request_or_none("delete", path, body={"preconditions": {"uid": uid}} if uid else None)
        except ConflictError:
            return  # the name belongs to another object by now

    def request(self, method: str, path: str, **parameters: Any) -> JsonDocument:
        """Sends a request.

        Raises:
            ClusterDownError: the API server is unreachable, or asks to try again later.
            ConflictError: another writer was first.
            InputError: the document is invalid, or the path does not exist.
            RefusedError: our account lacks the right, or a policy forbids the request.
        """
        self.guard()
        timeouts = (self._timeout, self._timeout)
        try:
            response: JsonDocument = self._client.request(
                method, path, serializer=lambda client, document: document, _request_timeout=timeouts, **parameters
            )
        except ApiException as error:
            raise _translate_error(error, f"{method.upper()} {path}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterDownError(f"{method.upper()} {path}: {describe_connection_error(error)}") from error
        except ValueError as error:
            if "header" not in str(error).lower():
                raise
            raise InputError(_BAD_TOKEN_MESSAGE.format(f"{method.upper()} {path}")) from None  # it quotes the header
        return response

    def _request_or_none(self, method: str, path: str, **parameters: Any) -> JsonDocument | None:
        try:
            return self.request(method, path, **parameters)
        except _ObjectNotFoundError:
            return None


class _ObjectNotFoundError(InputError):
    """The path does not exist."""


def _translate_error(error: DynamicApiError, request_line: str) -> AnamnesisError:
    """Returns the error as one of ours; for an invalid document it names fields only: values may be confidential."""
    if error.status in _RETRYABLE_STATUSES or error.status >= 500:
        return ClusterDownError(
            f"{request_line}: the API server answers {error.status} {error.reason}; if this lasts, check the API server"
        )
    status = _parse_status(error.body)
    if error.status == _NOT_FOUND:
        return _ObjectNotFoundError(
            f"{request_line}: not found on the API server; check the name and the namespace, and that the custom "
            "resource definitions (manifests/crds) are installed"
        )
    if error.status == _CONFLICT:
        if request_line.startswith("POST "):
            return ConflictError(f"{request_line}: an object of this name exists already; use another name")
        return ConflictError(f"{request_line}: another writer changed the object meanwhile; try again")
    if error.status == _INVALID:
        fields = ", ".join(cause.get("field", "?") for cause in status.get("details", {}).get("causes", ()))
        if fields:
            return InputError(f"{request_line}: the API server rejects invalid fields; correct them: {fields}")
        return InputError(f"{request_line}: the API server rejects the object as invalid: {status.get('reason')}")
    return RefusedError(
        f"{request_line}: the API server refuses with {error.status}: {status.get('message', error.reason)}; "
        "if a right is missing, let a cluster administrator grant it"
    )


def _parse_status(body: object) -> JsonDocument:
    try:
        document = json.loads(body) if isinstance(body, str | bytes) else None
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
