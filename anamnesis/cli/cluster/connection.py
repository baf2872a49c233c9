"""One API server, as the person whom the kubeconfig names, in one namespace."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError

from anamnesis.cli.cluster.answers import MissingError, refusal
from anamnesis.cli.output import note
from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import API_VERSION, Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.api.validation_messages import describe
from anamnesis.records import InputError, UnreachableError

Kind = TypeVar("Kind", bound=Resource)
Document = dict[str, Any]

PLURALS: Mapping[type[Resource], str] = {
    ContinualModel: "continualmodels",
    Site: "sites",
    ModelUpdate: "modelupdates",
    UpdateApproval: "updateapprovals",
}
SECONDS = (5, 30)
"""To connect, and to answer."""
_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Connection:
    """What commands ask of an API server.

    Every call raises ``UnreachableError`` where the server does not answer, ``RefusedError`` where it does not let this
    person, ``ConflictError`` where somebody was faster, and ``InputError`` where something is not there or not valid.

    Args:
        api: the official client's ``ApiClient``.
        namespace: of every resource that is meant.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api, self.namespace = api, namespace

    def request(self, method: str, path: str, body: object = None, content: str = "application/json") -> Any:
        """Sends one REST request; returns the decoded JSON, or the text of another answer."""
        import json

        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        from anamnesis.operator.runtime.kubernetes_api import no_answer

        try:
            answer = self._api.call_api(
                path,
                method,
                header_params={"Content-Type": content, "Accept": "application/json, */*"},
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=SECONDS,
            )
        except ApiException as error:
            body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
            raise refusal(error.status, str(body or error.reason), self.namespace) from error
        except HTTPError as error:
            raise UnreachableError(f"{self._api.configuration.host}: {no_answer(error)}") from error
        text = answer.data.decode(errors="replace")
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def whoami(self) -> str:
        """Returns the name that the API server knows this person by."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        return str(answer["status"]["userInfo"]["username"])

    def get(self, kind: type[Kind], name: str) -> Kind:
        """Returns one resource."""
        return _typed(kind, self.request("GET", self._path(kind, name)))

    def all(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Returns all resources of a kind; one that this release does not understand is left out, with a note."""
        head = {"apiVersion": API_VERSION, "kind": kind.__name__}
        found = []
        for item in self.documents(self._path(kind)):
            try:
                found.append(_typed(kind, {**item, **head}))
            except InputError as error:
                note(f"anamnesis: left out: {error}")
        return tuple(found)

    def documents(self, path: str, **query: str) -> list[Document]:
        """Returns the items of a list, as they are."""
        answer = self.request("GET", f"{path}?{urlencode(query)}" if query else path)
        items: list[Document] = answer["items"]
        return items

    def find(self, path: str) -> Document | None:
        """Returns an object as it is, or none where there is none."""
        try:
            found: Document = self.request("GET", path)
        except MissingError:
            return None
        return found

    def create(self, kind: type[Kind], metadata: Mapping[str, str], spec: Mapping[str, object]) -> Kind:
        """Creates a resource and returns it."""
        document = {"apiVersion": API_VERSION, "kind": kind.__name__, "metadata": metadata, "spec": spec}
        return _typed(kind, self.request("POST", self._path(kind), document))

    def merge(self, kind: type[Resource], name: str, change: Mapping[str, object]) -> None:
        """Changes a resource by a JSON merge patch."""
        self.request("PATCH", self._path(kind, name), change, "application/merge-patch+json")

    def _path(self, kind: type[Resource], name: str = "") -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/{PLURALS[kind]}{f'/{name}' if name else ''}"


def connect(namespace: str = "", context: str = "") -> Connection:
    """Returns the connection that ``KUBECONFIG`` (else ``~/.kube/config``, else this pod) describes.

    Args:
        namespace: by default that of the context.
        context: by default the current one.

    Raises:
        InputError: there is none.
    """
    try:
        from kubernetes import client, config
        from urllib3 import Retry

        from anamnesis.operator.runtime.kubernetes_api import NO_KUBECONFIG, in_one_line
    except ModuleNotFoundError as error:
        raise InputError("a cluster needs the package kubernetes: pip install 'anamnesis[operator]'") from error
    settings = client.Configuration()
    settings.retries = Retry(0)  # a retry would be logged over the screen, and the person can call again
    file = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    in_pod = _POD.exists() and not any(Path(part).exists() for part in file.split(os.pathsep))
    try:
        if in_pod:
            config.load_incluster_config(settings)
            default = _POD.read_text(encoding="utf-8").strip()
        else:
            config.load_kube_config(file, context or None, settings)
            default = _namespace_of(context, *config.list_kube_config_contexts(file))
    except NO_KUBECONFIG as error:
        raise InputError(
            f"no cluster: {file}: {in_one_line(error)}; set KUBECONFIG, or give -f FILES to work without one"
        ) from error
    return Connection(client.ApiClient(settings), namespace or default)


def _namespace_of(context: str, contexts: list[Document], current: Document) -> str:
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _typed(kind: type[Kind], document: Document) -> Kind:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        name = document["metadata"]["name"]
        findings = "; ".join(describe(error, kind))
        raise InputError(f"{kind.__name__} {name}: not of this release of the command line: {findings}") from error
