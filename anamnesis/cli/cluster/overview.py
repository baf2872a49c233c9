"""What ``status`` reads of a cluster: the statuses of models and sites, and what a person can do about them."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Told
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
    def in_flight(self) -> ModelUpdate | None:
        """The update that has not ended."""
        return next((each for each in self.updates if each.metadata.name == self.model.status.update), None)

    @property
    def unheard(self) -> tuple[UpdateApproval, ...]:
        """People's words that are not in the log: not examined yet, or refused and about the update in flight."""
        flying = self.model.status.update
        return tuple(
            each
            for each in self.approvals
            if not each.status.holds("Recorded") and (_is_new(each) or (flying and each.spec.update == flying))
        )

    @property
    def approval(self) -> str:
        """The command that approves what waits for a person, or nothing."""
        update = self.in_flight
        decided = update.status.condition("Decided") if update else None
        if update is None or decided is None or decided.reason != UpdateState.AWAITING_APPROVAL:
            return ""
        namespace, digest = self.model.metadata.namespace, short_digest(update.status.version)
        return f'anamnesis approve -n {namespace} {self.name} sha256:{digest} --why "..."'


@dataclass(frozen=True, slots=True)
class ClusterView:
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
            "sites": [{"name": site.metadata.name, **_plain(site.status)} for site in self.sites],
        }


def look(connection: Connection, model: str) -> ClusterView:
    """Returns how a namespace is, or one model of it with its sites; changes nothing.

    Raises:
        InputError: there is no such model.
    """
    models = connection.all(ContinualModel)
    if model:
        models = tuple(each for each in models if each.metadata.name == model)
        if not models:
            raise InputError(f"no ContinualModel {model} in namespace {connection.namespace}; -n names another")
    updates, approvals = connection.all(ModelUpdate), connection.all(UpdateApproval)
    named = {reference.name for each in models for reference in each.spec.sites}
    return ClusterView(
        connection.namespace,
        tuple(_view(each, updates, approvals) for each in models),
        tuple(site for site in connection.all(Site) if not model or site.metadata.name in named),
    )


def _view(model: ContinualModel, updates: Iterable[ModelUpdate], approvals: Iterable[UpdateApproval]) -> ModelView:
    name = model.metadata.name
    own = tuple(each for each in updates if each.spec.model == name)
    names = {each.metadata.name for each in own}
    said = tuple(each for each in approvals if each.spec.model == name or each.spec.update in names)
    return ModelView(model, own, said)


def _is_new(approval: UpdateApproval) -> bool:
    recorded = approval.status.condition("Recorded")
    return recorded is None or recorded.reason == ApprovalState.PENDING


def _model_document(view: ModelView) -> dict[str, object]:
    update = view.in_flight
    return {
        "name": view.name,
        "state": view.model.spec.state,
        "method": view.model.spec.method.name,
        **_plain(view.model.status),
        "update": {"name": update.metadata.name, "site": update.spec.site, **_plain(update.status)} if update else None,
        "approve": view.approval,
        "unheard": [
            {"name": each.metadata.name, **each.spec.model_dump(mode="json", by_alias=True), **_plain(each.status)}
            for each in view.unheard
        ],
    }


def _plain(told: Told) -> dict[str, object]:
    return told.model_dump(mode="json", by_alias=True)
