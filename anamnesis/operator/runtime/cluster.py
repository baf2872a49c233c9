"""What reconciling needs of the API server: typed resources in and out. NotFound is an answer, not an error."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.status import ResourceStatus
from anamnesis.records import AnamnesisError, UnreachableError

ResourceT = TypeVar("ResourceT", bound=Resource)


class ClusterDownError(UnreachableError):
    """The API server does not answer."""


class LeadershipLostError(AnamnesisError):
    """This process may not act any more: another one may lead by now."""


class Cluster(Protocol):
    """The API server, read fresh at every call. Raises ``ClusterDownError`` where it does not answer."""

    def ensure_leader(self) -> None:
        """Does nothing while this process may act; cheap. Who is about to write outside of the cluster asks first.

        Raises:
            LeadershipLostError: it may not; every other call raises it too.
        """

    def get(self, kind: type[ResourceT], namespace: str, name: str) -> ResourceT | None:
        """Returns a resource, or none."""

    def list(
        self, kind: type[ResourceT], namespace: str, fields: Mapping[str, str] | None = None
    ) -> tuple[ResourceT, ...]:
        """Returns the resources of a kind sorted by name; ``fields`` are selectable fields, like ``spec.model``.

        One that the types do not accept (of another release) is left out, and a warning is logged.
        """

    def create(self, resource: ResourceT, owner: Resource | None = None) -> ResourceT:
        """Creates a resource, or returns the one that bears its name already.

        Args:
            resource: what to create; it has a name and a namespace.
            owner: becomes its controlling owner, so that it goes when the owner goes.
        """

    def put_status(self, resource: Resource, status: ResourceStatus) -> None:
        """Applies a status, server-side, as our field manager, where it differs from what ``resource`` bears.

        Each condition that changed its status or reason becomes one event. Nothing happens when the resource is gone.
        """

    def report_invalid(self, kind: type[Resource], namespace: str, name: str, condition_type: str) -> bool:
        """Tells on a resource that the types do not accept it, and why; the rest of its status stays.

        The API server's own rules see less than the types do: that a schedule never comes, for example.

        Args:
            kind: of the resource.
            namespace: where it is.
            name: its name.
            condition_type: the type of the condition that becomes False with the reason ``InvalidSpec``.

        Returns:
            Whether that is so; false where the types accept it, or it is gone.
        """

    def set_finalizers(self, resource: Resource, finalizers: tuple[str, ...]) -> None:
        """Replaces our own finalizers on a resource; others' stay. Nothing happens when it is gone."""

    def delete(self, resource: Resource) -> None:
        """Deletes a resource, or finds it gone."""

    def record_event(
        self, resource: Resource, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Writes an event about a resource; best effort."""

    def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Returns the decoded text of a Secret's keys, or none where there is none or no right to read it."""

    def approval_policy_in_force_since(self) -> datetime | None:
        """Returns since when the admission policy pins the author of approvals; none where it does not."""
