"""What a support bundle holds, part by part; each reads one thing of the cluster."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from anamnesis.cli.cluster.connection import PLURALS, Connection
from anamnesis.cli.cluster.redaction import Document, resource, without_logins
from anamnesis.operator.api import admission
from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.resource_definitions import DEFINITIONS
from anamnesis.operator.runtime.options import LEASE
from anamnesis.records import AnamnesisError

SELECTOR = "app.kubernetes.io/name=anamnesis-operator"
LOG_LINES, LOG_BYTES = 5000, 4 * 2**20
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the bundle.

    Attributes:
        name: of the file.
        read: returns its text, or what is written as JSON.
    """

    name: str
    read: Callable[[], object]


def parts(connection: Connection, operator_namespace: str) -> Iterator[Part]:
    """Yields everything that goes into a bundle."""
    here = f"namespaces/{connection.namespace}"
    for plural in PLURALS.values():
        yield Part(f"resources/{plural}.json", partial(_resources, connection, f"/apis/{API_VERSION}/{here}/{plural}"))
    yield Part("events.json", lambda: _events(connection))
    yield Part("versions.json", lambda: _versions(connection))
    yield Part("admission.json", lambda: _admission(connection))
    there = f"namespaces/{operator_namespace}"
    lease = f"/apis/coordination.k8s.io/v1/{there}/leases/{LEASE}"
    yield Part("operator/lease.json", lambda: connection.request("GET", lease)["spec"])
    pods = Pods(connection, f"/api/v1/{there}/pods")
    yield Part("operator/pods.json", lambda: [_pod(each) for each in pods.all()])
    yield Part("operator/logs.txt", pods.logs)


@dataclass(frozen=True, slots=True)
class Pods:
    """The operator's pods.

    Attributes:
        connection: to the cluster.
        path: of the pods of their namespace.
    """

    connection: Connection
    path: str

    def all(self) -> list[Document]:
        """Returns them as they are."""
        return self.connection.documents(self.path, labelSelector=SELECTOR)

    def logs(self) -> str:
        """Returns the end of their logs, and of the containers that ended before."""
        return "".join(f"=== {title}\n{text}\n" for title, text in self._logs())

    def _logs(self) -> Iterator[tuple[str, str]]:
        for pod in self.all():
            name, restarted = str(_of(pod, "metadata")["name"]), any(s["restartCount"] for s in _containers(pod))
            for which in ("", "&previous=true") if restarted else ("",):
                path = f"{self.path}/{name}/log?tailLines={LOG_LINES}&limitBytes={LOG_BYTES}{which}"
                yield f"{name}{' before its last restart' if which else ''}", self._log(path)

    def _log(self, path: str) -> str:
        try:
            return str(without_logins(self.connection.request("GET", path)))
        except AnamnesisError as error:  # one container's log may be gone; the others' are read all the same
            return f"(not there: {error})"


def _resources(connection: Connection, path: str) -> list[Document]:
    return [resource(each) for each in connection.documents(path)]


def _pod(pod: Document) -> Document:
    """Returns how a pod is; not its environment."""
    status = _of(pod, "status")
    kept = ("name", "image", "imageID", "ready", "restartCount", "state", "lastState")
    containers = [{key: each.get(key) for key in kept} for each in _containers(pod)]
    return {"name": _of(pod, "metadata")["name"], "phase": status.get("phase"), "containers": containers}


def _containers(pod: Document) -> list[Document]:
    found = _of(pod, "status").get("containerStatuses")
    return found if isinstance(found, list) else []


def _events(connection: Connection) -> list[Document]:
    kept = ("type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime")
    found = []
    for event in connection.documents(f"/api/v1/namespaces/{connection.namespace}/events"):
        about = _of(event, "involvedObject")
        if about.get("apiVersion") == API_VERSION:
            told = {key: without_logins(event[key]) for key in kept if event.get(key) is not None}
            found.append({"about": f"{about.get('kind')}/{about.get('name')}"} | told)
    return found


def _versions(connection: Connection) -> Document:
    import anamnesis

    return {
        "commandLine": anamnesis.__version__,
        "apiServer": connection.request("GET", "/version").get("gitVersion"),
        "definitions": {item.plural: _definition(connection, item.plural, item.manifest()) for item in DEFINITIONS},
    }


def _definition(connection: Connection, plural: str, shipped: Mapping[str, object]) -> Document:
    installed = connection.request("GET", f"{_DEFINITIONS}/{_of(shipped, 'metadata')['name']}")
    differing = list(differences(shipped["spec"], installed["spec"], "spec"))
    return {"asThisReleaseShips": not differing, "differing": differing[:20]}


def _admission(connection: Connection) -> Document:
    """Returns how authors of approvals are held to be who they say they are, as far as it is installed."""
    plurals = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    policy, binding = (connection.find(f"{_ADMISSION}/{plural}/{admission.NAME}") for plural in plurals)
    since = admission.guarded_since(policy, binding)
    return {
        "inForce": since is not None,
        "since": since.isoformat() if since else None,
        "policy": policy and policy["spec"],
        "binding": binding and binding["spec"],
    }


def differences(shipped: object, installed: object, path: str) -> Iterator[str]:
    """Yields the paths where what is shipped is not installed; what the API server added counts for nothing."""
    if isinstance(shipped, Mapping) and isinstance(installed, Mapping):
        for key, value in shipped.items():
            yield from differences(value, installed.get(key), f"{path}.{key}")
    elif isinstance(shipped, list) and isinstance(installed, list) and len(shipped) == len(installed):
        for number, (value, other) in enumerate(zip(shipped, installed, strict=True)):
            yield from differences(value, other, f"{path}[{number}]")
    elif shipped != installed and (shipped or installed):  # an empty one is left out by the API server
        yield path


def _of(document: Mapping[str, object], field: str) -> Document:
    found = document.get(field)
    return found if isinstance(found, dict) else {}
