"""Which keys to reconcile after a change."""

from collections.abc import Iterator

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.condition_types import RECORDED
from anamnesis.operator.api.update import ModelUpdate, model_part
from anamnesis.operator.runtime.cache import Cache, ResourceChange
from anamnesis.operator.runtime.reconcile_key import ReconcileKey


def keys_for(change: ResourceChange, cache: Cache) -> Iterator[ReconcileKey]:
    """Yields the keys to reconcile after a change: of a site, its own key and those of the models that name it."""
    if change.unreadable_key and change.unreadable_key[0] in ("ContinualModel", "Site"):
        yield ReconcileKey(*change.unreadable_key)  # reconciling writes the condition InvalidSpec
        return
    resource = change.after or change.before
    if resource is None:
        return
    namespace = _namespace(resource)
    if isinstance(resource, Site):
        yield ReconcileKey("Site", namespace, resource.metadata.name)
        if _is_only_a_poll(change):
            return
    kinds = ["ContinualModel"]
    if isinstance(resource, UpdateApproval) and _is_pending(resource):
        kinds.insert(0, "UpdateApproval")
    yield from (ReconcileKey(kind, namespace, name) for name in _model_names(resource, cache) for kind in kinds)


def all_keys(cache: Cache) -> Iterator[ReconcileKey]:
    """Yields the key of every model and every site, and those of the decisions of people that wait."""
    for resource in cache.resources():
        if isinstance(resource, ContinualModel | Site):
            yield ReconcileKey(resource.kind, _namespace(resource), resource.metadata.name)
        if isinstance(resource, UpdateApproval) and _is_pending(resource):
            for name in _model_names(resource, cache):
                yield ReconcileKey("UpdateApproval", _namespace(resource), name)


def _is_pending(approval: UpdateApproval) -> bool:
    condition = approval.status.condition(RECORDED)
    return condition is None or condition.status == "Unknown"


def _namespace(resource: Resource) -> str:
    return resource.metadata.namespace or ""


def _is_only_a_poll(change: ResourceChange) -> bool:
    """Whether only the time of the last poll changed: then the models need no reconciling."""
    if not isinstance(change.before, Site) or not isinstance(change.after, Site):
        return False
    before, after = (site.model_copy(update={"status": site.status.model_copy(update={"last_poll_time": None})})
                     for site in (change.before, change.after))  # fmt: skip
    return (before.spec, before.status) == (after.spec, after.status)


def _model_names(resource: Resource, cache: Cache) -> Iterator[str]:
    if isinstance(resource, ContinualModel):
        yield resource.metadata.name
        return
    model_name = resource.spec.model if isinstance(resource, ModelUpdate | UpdateApproval) else None
    if model_name:
        yield model_name
        return
    names = {model.metadata.name for model in _models_in_namespace(resource, cache) if _affects_model(resource, model)}
    if isinstance(resource, UpdateApproval):  # its model may not exist, which its status then reports
        names.add(model_part(resource.spec.update or ""))
    yield from sorted(names)


def _models_in_namespace(resource: Resource, cache: Cache) -> Iterator[ContinualModel]:
    for model in cache.resources():
        if isinstance(model, ContinualModel) and _namespace(model) == _namespace(resource):
            yield model


def _affects_model(resource: Resource, model: ContinualModel) -> bool:
    """Whether a model names a site, or an approval may name an update of the model, existing or deleted."""
    if isinstance(resource, UpdateApproval):
        return model.metadata.name.startswith(model_part(resource.spec.update or ""))
    return any(reference.name == resource.metadata.name for reference in model.spec.sites)
