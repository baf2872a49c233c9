"""The parts of a support bundle; each one reads one thing from the cluster."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from anamnesis.cli.cluster.connection import PLURALS, Connection
from anamnesis.cli.cluster.support_bundle.redaction import Document, redact_resource, remove_logins
from anamnesis.operator.api import admission
from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS
from anamnesis.operator.runtime.options import LEASE_NAME
from anamnesis.records import AnamnesisError

SELECTOR = "app.kubernetes.io/name=anamnesis-operator"
LOG_LINES, LOG_BYTES = 5000, 4 * 2**20
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class BundlePart:
    """One file of the bundle.

    Attributes:
        name: name of the file.
        read: returns its text, or a document for JSON.
    """

    name: str
    read: Callable[[], object]


def bundle_parts(connection: Connection, operator_namespace: str) -> Iterator[BundlePart]:
    """Yields all parts of a bundle."""
    model_namespace_path = f"namespaces/{connection.namespace}"
    for plural in PLURALS.values():
        yield BundlePart(
            f"resources/{plural}.json",
            partial(_read_resources, connection, f"/apis/{API_VERSION}/{model_namespace_path}/{plural}"),
        )
    yield BundlePart("events.json", lambda: _read_events(connection))
    yield BundlePart("versions.json", lambda: _read_versions(connection))
    yield BundlePart("admission.json", lambda: _read_admission(connection))
    operator_namespace_path = f"namespaces/{operator_namespace}"
    operator_pods = OperatorPods(connection, f"/api/v1/{operator_namespace_path}/pods")
    leases_path = f"/apis/coordination.k8s.io/v1/{operator_namespace_path}/leases"
    yield BundlePart(
        "operator/lease.json", lambda: connection.request("GET", f"{leases_path}/{operator_pods.lease_name()}")["spec"]
    )
    yield BundlePart("operator/pods.json", lambda: [_summarise_pod(pod) for pod in operator_pods.list_pods()])
    yield BundlePart("operator/logs.txt", operator_pods.read_logs)


@dataclass(frozen=True, slots=True)
class OperatorPods:
    """The operator's pods.

    Attributes:
        connection: to the cluster.
        path: API path of the pods in the operator's namespace.
    """

    connection: Connection
    path: str

    def list_pods(self) -> list[Document]:
        """Returns the pods as JSON documents."""
        return self.connection.list_documents(self.path, labelSelector=SELECTOR)

    def lease_name(self) -> str:
        """Returns the name of the Lease that the option ``--lease-name`` of a pod has, or the default."""
        try:
            pods = self.list_pods()
        except AnamnesisError:  # pods.json has the reason; the Lease may be readable nevertheless
            return LEASE_NAME
        containers = [container for pod in pods for container in _list_field(_mapping_field(pod, "spec"), "containers")]
        arguments = [str(argument) for container in containers for argument in _list_field(container, "args")]
        option = "--lease-name="
        names = [argument.removeprefix(option) for argument in arguments if argument.startswith(option)]
        return next(iter(names), LEASE_NAME)

    def read_logs(self) -> str:
        """Returns the end of the logs, also of containers before their last restart."""
        return "".join(f"=== {title}\n{text}\n" for title, text in self._read_pod_logs())

    def _read_pod_logs(self) -> Iterator[tuple[str, str]]:
        for pod in self.list_pods():
            name, has_restarted = (
                str(_mapping_field(pod, "metadata")["name"]),
                any(status["restartCount"] for status in _container_statuses(pod)),
            )
            for query_suffix in ("", "&previous=true") if has_restarted else ("",):
                path = f"{self.path}/{name}/log?tailLines={LOG_LINES}&limitBytes={LOG_BYTES}{query_suffix}"
                yield f"{name}{' before its last restart' if query_suffix else ''}", self._read_log(path)

    def _read_log(self, path: str) -> str:
        try:
            return str(remove_logins(self.connection.request("GET", path)))
        except AnamnesisError as error:  # a missing log does not hide the logs of the other containers
            return f"(missing: {error})"


def _read_resources(connection: Connection, path: str) -> list[Document]:
    return [redact_resource(document) for document in connection.list_documents(path)]


def _summarise_pod(pod: Document) -> Document:
    """Returns the state of a pod, without its environment."""
    status = _mapping_field(pod, "status")
    fields = ("name", "image", "imageID", "ready", "restartCount", "state", "lastState")
    containers = [{key: container.get(key) for key in fields} for container in _container_statuses(pod)]
    return {"name": _mapping_field(pod, "metadata")["name"], "phase": status.get("phase"), "containers": containers}


def _container_statuses(pod: Document) -> list[Document]:
    return _list_field(_mapping_field(pod, "status"), "containerStatuses")


def _read_events(connection: Connection) -> list[Document]:
    fields = ("type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime")
    events = []
    for event in connection.list_documents(f"/api/v1/namespaces/{connection.namespace}/events"):
        involved_object = _mapping_field(event, "involvedObject")
        if involved_object.get("apiVersion") == API_VERSION:
            event_fields = {key: remove_logins(event[key]) for key in fields if event.get(key) is not None}
            events.append({"about": f"{involved_object.get('kind')}/{involved_object.get('name')}"} | event_fields)
    return events


def _read_versions(connection: Connection) -> Document:
    import anamnesis

    return {
        "commandLine": anamnesis.__version__,
        "apiServer": connection.request("GET", "/version").get("gitVersion"),
        "definitions": {
            item.plural: _compare_definition(connection, item.plural, item.to_manifest())
            for item in RESOURCE_DEFINITIONS
        },
    }


def _compare_definition(connection: Connection, plural: str, shipped: Mapping[str, object]) -> Document:
    installed = connection.request("GET", f"{_DEFINITIONS}/{_mapping_field(shipped, 'metadata')['name']}")
    differing_paths = list(differences(shipped["spec"], installed["spec"], "spec"))
    return {"asThisReleaseShips": not differing_paths, "differing": differing_paths[:20]}


def _read_admission(connection: Connection) -> Document:
    """Returns the admission policy that checks the authors of approvals, as far as it is installed."""
    plurals = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    policy, binding = (connection.get_or_none(f"{_ADMISSION}/{plural}/{admission.POLICY_NAME}") for plural in plurals)
    in_force_since = admission.policy_in_force_since(policy, binding)
    return {
        "inForce": in_force_since is not None,
        "since": in_force_since.isoformat() if in_force_since else None,
        "policy": policy and policy["spec"],
        "binding": binding and binding["spec"],
    }


def differences(shipped: object, installed: object, path: str) -> Iterator[str]:
    """Yields the paths of shipped fields that are not installed; fields that the API server added are ignored."""
    if isinstance(shipped, Mapping) and isinstance(installed, Mapping):
        for key, value in shipped.items():
            yield from differences(value, installed.get(key), f"{path}.{key}")
    elif isinstance(shipped, list) and isinstance(installed, list) and len(shipped) == len(installed):
        for index, (value, installed_value) in enumerate(zip(shipped, installed, strict=True)):
            yield from differences(value, installed_value, f"{path}[{index}]")
    elif shipped != installed and (shipped or installed):  # the API server drops empty fields
        yield path


def _mapping_field(document: Mapping[str, object], field: str) -> Document:
    value = document.get(field)
    return value if isinstance(value, dict) else {}


def _list_field(document: Mapping[str, object], field: str) -> list[Document]:
    value = document.get(field)
    return value if isinstance(value, list) else []
