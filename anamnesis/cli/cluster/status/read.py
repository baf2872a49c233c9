"""Reads the statuses of models and sites, and the command that approves a waiting version."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import ContinualModel, Site, UpdateApproval, condition_types
from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.records import InputError, short_digest


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with its updates and approvals.

    Attributes:
        model: the resource.
        updates: all ModelUpdates of the model.
        approvals: all UpdateApprovals of the model or its updates.
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
        """The update that is not final yet."""
        return next((update for update in self.updates if update.metadata.name == self.model.status.update), None)

    @property
    def unrecorded_approvals(self) -> tuple[UpdateApproval, ...]:
        """Approvals that are not in the log: pending, or refused and about the update in flight."""
        update_in_flight = self.model.status.update
        return tuple(
            approval
            for approval in self.approvals
            if not approval.status.is_true(condition_types.RECORDED)
            and (_is_pending(approval) or (update_in_flight and approval.spec.update == update_in_flight))
        )

    @property
    def approval_command(self) -> str:
        """The command that approves the waiting version, or an empty text."""
        update = self.update_in_flight
        condition = update.status.condition(condition_types.DECIDED) if update else None
        if update is None or condition is None or condition.reason != UpdateState.AWAITING_APPROVAL:
            return ""
        namespace, digest = self.model.metadata.namespace, short_digest(update.status.version)
        return f'anamnesis approve -n {namespace} {self.name} sha256:{digest} --reason "..."'


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """A namespace.

    Attributes:
        namespace: its name.
        models: models, sorted by name.
        sites: the sites of the selected model, or all sites.
    """

    namespace: str
    models: tuple[ModelView, ...]
    sites: tuple[Site, ...]

    def document(self) -> dict[str, object]:
        """Returns the content as a document for programs."""
        return {
            "namespace": self.namespace,
            "models": [_model_document(view) for view in self.models],
            "sites": [{"name": site.metadata.name, **_to_document(site.status)} for site in self.sites],
        }


def read_status(connection: Connection, model: str) -> NamespaceView:
    """Reads all models and sites of a namespace, or one model with its sites.

    Raises:
        InputError: the model does not exist.
    """
    models = connection.list_all(ContinualModel)
    if model:
        models = tuple(resource for resource in models if resource.metadata.name == model)
        if not models:
            raise InputError(
                f"no ContinualModel {model} in namespace {connection.namespace}; check the name, or use -n for another "
                "namespace"
            )
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
    condition = approval.status.condition(condition_types.RECORDED)
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
        "approvalCommand": view.approval_command,
        "unrecordedApprovals": [
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
