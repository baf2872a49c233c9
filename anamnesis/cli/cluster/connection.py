"""A connection to one API server as the user of the kubeconfig, for one namespace."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError

from anamnesis.cli.cluster.api_errors import ResourceNotFoundError, error_for_response
from anamnesis.cli.output import print_note
from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import API_VERSION, Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.records import InputError, UnreachableError

ResourceT = TypeVar("ResourceT", bound=Resource)
Document = dict[str, Any]

PLURALS: Mapping[type[Resource], str] = {
    ContinualModel: "continualmodels",
    Site: "sites",
    ModelUpdate: "modelupdates",
    UpdateApproval: "updateapprovals",
}
FIELD_MANAGER = "anamnesis-cli"
"""Under this name the API server notes which fields a command wrote; the operator has another."""
TIMEOUTS = (5, 30)
"""Seconds to connect and seconds to read a response."""
_POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Connection:
    """The requests of the commands to an API server.

    Every call raises ``UnreachableError`` when the server does not respond, ``RefusedError`` when the user lacks a
    right, ``ConflictError`` when the object changed in the meantime, and ``InputError`` when the object does not exist
    or is not valid.

    Args:
        api: the official client's ``ApiClient``.
        namespace: namespace of all resources.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api, self.namespace = api, namespace

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """Sends one REST request; returns the decoded JSON, or the text of another response."""
        import json

        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        from anamnesis.operator.runtime.kubernetes_api import describe_connection_error

        try:
            response = self._api.call_api(
                path,
                method,
                header_params={"Content-Type": content_type, "Accept": "application/json, */*"},
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=TIMEOUTS,
            )
        except ApiException as error:
            body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
            raise error_for_response(error.status, str(body or error.reason), self.namespace) from error
        except HTTPError as error:
            raise UnreachableError(f"{self._api.configuration.host}: {describe_connection_error(error)}") from error
        text = response.data.decode(errors="replace")
        return json.loads(text) if "json" in response.headers.get("Content-Type", "") else text

    def whoami(self) -> str:
        """Returns the user name that the API server sees."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        response = self.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        return str(response["status"]["userInfo"]["username"])

    def get(self, kind: type[ResourceT], name: str) -> ResourceT:
        """Returns one resource."""
        return _validate(kind, self.request("GET", self._path(kind, name)))

    def list_all(self, kind: type[ResourceT]) -> tuple[ResourceT, ...]:
        """Returns all resources of a kind; skips resources that this version does not understand, with a note."""
        type_fields = {"apiVersion": API_VERSION, "kind": kind.__name__}
        resources = []
        for item in self.list_documents(self._path(kind)):
            try:
                resources.append(_validate(kind, {**item, **type_fields}))
            except InputError as error:
                print_note(f"anamnesis: skipped: {error}")
        return tuple(resources)

    def list_documents(self, path: str, **query: str) -> list[Document]:
        """Returns the items of a list as JSON documents."""
        response = self.request("GET", f"{path}?{urlencode(query)}" if query else path)
        items: list[Document] = response["items"]
        return items

    def get_or_none(self, path: str) -> Document | None:
        """Returns an object as a JSON document, or none when it does not exist."""
        try:
            document: Document = self.request("GET", path)
        except ResourceNotFoundError:
            return None
        return document

    def create(self, kind: type[ResourceT], metadata: Mapping[str, str], spec: Mapping[str, object]) -> ResourceT:
        """Creates a resource and returns it."""
        document = {"apiVersion": API_VERSION, "kind": kind.__name__, "metadata": metadata, "spec": spec}
        return _validate(kind, self.request("POST", _written_path(self._path(kind)), document))

    def patch(self, kind: type[Resource], name: str, change: Mapping[str, object]) -> None:
        """Changes a resource by a JSON merge patch."""
        self.request("PATCH", _written_path(self._path(kind, name)), change, "application/merge-patch+json")

    def _path(self, kind: type[Resource], name: str = "") -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{PLURALS[kind]}{f'/{name}' if name else ''}"


def _written_path(path: str) -> str:
    return f"{path}?{urlencode({'fieldManager': FIELD_MANAGER})}"


def connect(namespace: str = "", context: str = "") -> Connection:
    """Returns the connection that ``KUBECONFIG`` (else ``~/.kube/config``, else this pod) describes.

    Args:
        namespace: empty: that of the context.
        context: empty: the current one.

    Raises:
        InputError: the kubeconfig describes no cluster, or the package ``kubernetes`` is not installed.
    """
    try:
        import yaml
        from kubernetes import client, config
        from urllib3 import Retry

        from anamnesis.operator.runtime.kubernetes_api import to_single_line
    except ModuleNotFoundError as error:
        raise InputError("a cluster needs the package kubernetes: pip install 'anamnesis[operator]'") from error
    settings = client.Configuration()
    settings.retries = Retry(0)  # the client would log each retry over the output
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    in_pod = _POD_NAMESPACE_FILE.exists() and not any(Path(part).exists() for part in kubeconfig.split(os.pathsep))
    try:
        if in_pod:
            config.load_incluster_config(settings)
            default_namespace = _POD_NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        else:
            config.load_kube_config(kubeconfig, context or None, settings)
            default_namespace = _context_namespace(context, *config.list_kube_config_contexts(kubeconfig))
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"no cluster: {kubeconfig}: {to_single_line(error)}; set KUBECONFIG, or give -f FILES to work without one"
        ) from error
    return Connection(client.ApiClient(settings), namespace or default_namespace)


def _context_namespace(context: str, contexts: list[Document], current: Document) -> str:
    context_entry = next((entry for entry in contexts if entry["name"] == context), current)
    return str(context_entry["context"].get("namespace") or "default")


def _validate(kind: type[ResourceT], document: Document) -> ResourceT:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        name = document["metadata"]["name"]
        findings = "; ".join(describe_errors(error, kind))
        raise InputError(
            f"{kind.__name__} {name}: this release of the command line cannot read the resource: {findings}; install "
            "the release of the operator"
        ) from error
