"""What ``status`` reads of a cluster: the statuses of models and sites, and what a person can do about them."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.records import InputError, short_digest


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with what is about it.

    Attributes:
        model: the resource.
        updates: all of the model that are kept.
        approvals: people's words on the model or its updates.
    """

    model: ContinualModel
    updates: tuple[ModelUpdate, ...]
    approvals: tuple[UpdateApproval, ...]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.metadata.name

    @property
    def update_in_flight(self) -> ModelUpdate | None:
        """The update that has not ended."""
        return next((update for update in self.updates if update.metadata.name == self.model.status.update), None)

    @property
    def unrecorded_approvals(self) -> tuple[UpdateApproval, ...]:
        """People's words that are not in the log: not examined yet, or refused and about the update in flight."""
        update_in_flight = self.model.status.update
        return tuple(
            approval
            for approval in self.approvals
            if not approval.status.is_true("Recorded")
            and (_is_pending(approval) or (update_in_flight and approval.spec.update == update_in_flight))
        )

    @property
    def approval_command(self) -> str:
        """The command that approves what waits for a person, or nothing."""
        update = self.update_in_flight
        condition = update.status.condition("Decided") if update else None
        if update is None or condition is None or condition.reason != UpdateState.AWAITING_APPROVAL:
            return ""
        namespace, digest = self.model.metadata.namespace, short_digest(update.status.version)
        return f'anamnesis approve -n {namespace} {self.name} sha256:{digest} --why "..."'


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """A namespace.

    Attributes:
        namespace: its name.
        models: sorted by name.
        sites: that the models name, or all of them.
    """

    namespace: str
    models: tuple[ModelView, ...]
    sites: tuple[Site, ...]

    def document(self) -> dict[str, object]:
        """Returns what there is, for programs."""
        return {
            "namespace": self.namespace,
            "models": [_model_document(view) for view in self.models],
            "sites": [{"name": site.metadata.name, **_to_document(site.status)} for site in self.sites],
        }


def read_status(connection: Connection, model: str) -> NamespaceView:
    """Returns how a namespace is, or one model of it with its sites; changes nothing.

    Raises:
        InputError: there is no such model.
    """
    models = connection.list_all(ContinualModel)
    if model:
        models = tuple(resource for resource in models if resource.metadata.name == model)
        if not models:
            raise InputError(f"no ContinualModel {model} in namespace {connection.namespace}; -n names another")
    updates, approvals = connection.list_all(ModelUpdate), connection.list_all(UpdateApproval)
    site_names = {reference.name for resource in models for reference in resource.spec.sites}
    return NamespaceView(
        connection.namespace,
        tuple(_make_model_view(resource, updates, approvals) for resource in models),
        tuple(site for site in connection.list_all(Site) if not model or site.metadata.name in site_names),
    )


def _make_model_view(
    model: ContinualModel, updates: Iterable[ModelUpdate], approvals: Iterable[UpdateApproval]
) -> ModelView:
    name = model.metadata.name
    model_updates = tuple(update for update in updates if update.spec.model == name)
    update_names = {update.metadata.name for update in model_updates}
    model_approvals = tuple(
        approval for approval in approvals if approval.spec.model == name or approval.spec.update in update_names
    )
    return ModelView(model, model_updates, model_approvals)


def _is_pending(approval: UpdateApproval) -> bool:
    condition = approval.status.condition("Recorded")
    return condition is None or condition.reason == ApprovalState.PENDING


def _model_document(view: ModelView) -> dict[str, object]:
    update = view.update_in_flight
    return {
        "name": view.name,
        "state": view.model.spec.state,
        "method": view.model.spec.method.name,
        **_to_document(view.model.status),
        "update": {"name": update.metadata.name, "site": update.spec.site, **_to_document(update.status)}
        if update
        else None,
        "approve": view.approval_command,
        "unheard": [
            {
                "name": approval.metadata.name,
                **approval.spec.model_dump(mode="json", by_alias=True),
                **_to_document(approval.status),
            }
            for approval in view.unrecorded_approvals
        ],
    }


def _to_document(status: StatusModel) -> dict[str, object]:
    return status.model_dump(mode="json", by_alias=True)
