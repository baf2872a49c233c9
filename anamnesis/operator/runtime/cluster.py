"""What reconciling needs from the API server: typed resources in and out. A missing resource is none, not an error."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar

from anamnesis.operator.api.admission import ApprovalPolicy
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.config_map import ConfigMap
from anamnesis.operator.api.status import ResourceStatus
from anamnesis.records import AnamnesisError, UnreachableError

ResourceT = TypeVar("ResourceT", bound=Resource)


class ClusterDownError(UnreachableError):
    """The API server is unreachable."""


class LeadershipLostError(AnamnesisError):
    """This process does not hold the Lease any more: another replica may lead by now."""


class Cluster(Protocol):
    """The API server; every call reads its current state. Raises ``ClusterDownError`` where it is unreachable."""

    def ensure_leader(self) -> None:
        """Does nothing while this process leads. The call is cheap; make it before each write outside the cluster.

        Raises:
            LeadershipLostError: this process does not lead; every other call raises it too.
        """

    def cluster_uid(self) -> str:
        """Returns the uid of the operator's Lease: it differs between clusters and outlives the operator.

        Empty where this process holds no Lease.
        """

    def get(self, kind: type[ResourceT], namespace: str, name: str) -> ResourceT | None:
        """Returns a resource, or none."""

    def list(
        self, kind: type[ResourceT], namespace: str, fields: Mapping[str, str] | None = None
    ) -> tuple[ResourceT, ...]:
        """Returns the resources of a kind sorted by name; ``fields`` are selectable fields, like ``spec.model``.

        A resource that the types do not accept (from another release) is ignored, and a warning is logged.
        """

    def create(self, resource: ResourceT, owner: Resource | None = None) -> ResourceT:
        """Creates a resource, or returns the existing resource of that name.

        Args:
            resource: the new resource, with a name and a namespace.
            owner: its controlling owner: Kubernetes deletes the resource with its owner.
        """

    def create_config_map(self, config_map: ConfigMap, owner: Resource) -> None:
        """Creates a ConfigMap that cannot be changed; does nothing where one of its name exists.

        Without the right to create ConfigMaps it does nothing but log a warning: the ModelUpdate has the same numbers.

        Args:
            config_map: its name is made of its contents.
            owner: its owner: Kubernetes deletes the ConfigMap with it.
        """

    def put_status(self, resource: Resource, status: ResourceStatus) -> None:
        """Applies a status server-side, as our field manager, where it differs from the status of ``resource``.

        Each condition that changed its status or reason becomes one event. Does nothing where the resource is gone.
        """

    def report_invalid(self, kind: type[Resource], namespace: str, name: str, condition_type: str) -> bool:
        """Writes on a resource why the types do not accept it; the rest of its status stays.

        The types check more than the API server does: for example, that a schedule has an occurrence.

        Args:
            kind: type of the resource.
            namespace: namespace of the resource.
            name: name of the resource.
            condition_type: the type of the condition that becomes False with the reason ``InvalidSpec``.

        Returns:
            Whether the resource is invalid; false where the types accept it, or it is gone.
        """

    def remove_finalizers(self, resource: Resource) -> None:
        """Removes our own finalizers, which earlier releases set; others stay. Does nothing where it is gone."""

    def delete(self, resource: Resource) -> None:
        """Deletes a resource; does nothing where it is gone."""

    def record_event(
        self, resource: Resource, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Writes an event about a resource; a failure is logged and not raised."""

    def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Returns the decoded text of a Secret's keys; none where it is missing, or the right to read it."""

    def approval_policy(self) -> ApprovalPolicy:
        """Returns what is known about the admission policy that verifies the authors of approvals."""
