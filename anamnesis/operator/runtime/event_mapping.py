"""Which keys to reconcile after a change."""

from collections.abc import Iterator

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.condition_types import RECORDED
from anamnesis.operator.api.status import SiteStatus
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
        if not _is_written_by_poll(change):
            yield ReconcileKey("Site", namespace, resource.metadata.name)
        if _is_only_a_poll(change):
            return
    kinds = ["ContinualModel"]
    if isinstance(resource, UpdateApproval) and _is_pending(resource):
        kinds.insert(0, "UpdateApproval")
    yield from (ReconcileKey(kind, namespace, name) for name in _model_names(resource, cache) for kind in kinds)


def all_keys(cache: Cache) -> Iterator[ReconcileKey]:
    """Yields the key of every model and site, of deleted models with updates, and of decisions that wait."""
    deleted_models = set()
    for resource in cache.resources():
        namespace = _namespace(resource)
        if isinstance(resource, ContinualModel | Site):
            yield ReconcileKey(resource.kind, namespace, resource.metadata.name)
        if isinstance(resource, ModelUpdate) and not cache.get(ContinualModel, namespace, resource.spec.model):
            deleted_models.add(ReconcileKey("ContinualModel", namespace, resource.spec.model))
        if isinstance(resource, UpdateApproval) and _is_pending(resource):
            for name in _model_names(resource, cache):
                yield ReconcileKey("UpdateApproval", namespace, name)
    yield from sorted(deleted_models)


def _is_pending(approval: UpdateApproval) -> bool:
    condition = approval.status.condition(RECORDED)
    return condition is None or condition.status == "Unknown"


def _namespace(resource: Resource) -> str:
    return resource.metadata.namespace or ""


def _is_written_by_poll(change: ResourceChange) -> bool:
    """Whether the operator wrote the result of a poll: its worker has set the time of the next poll itself."""
    if not isinstance(change.before, Site) or not isinstance(change.after, Site):
        return False
    before, after = change.before, change.after
    times = before.status.last_poll_time, after.status.last_poll_time
    return _without_status(before) == _without_status(after) and None not in times and times[0] != times[1]


def _is_only_a_poll(change: ResourceChange) -> bool:
    """Whether only time and cursor of the last poll changed: then the models need no reconciling."""
    if not isinstance(change.before, Site) or not isinstance(change.after, Site):
        return False
    return (change.before.spec, _without_poll(change.before)) == (change.after.spec, _without_poll(change.after))


def _without_poll(site: Site) -> SiteStatus:
    source = site.status.source.model_copy(update={"cursor": ""}) if site.status.source else None
    return site.status.model_copy(update={"last_poll_time": None, "source": source})


def _without_status(site: Site) -> Site:
    metadata = site.metadata.model_copy(update={"resource_version": ""})
    return site.model_copy(update={"metadata": metadata, "status": SiteStatus()})


def _model_names(resource: Resource, cache: Cache) -> Iterator[str]:
    if isinstance(resource, ContinualModel):
        yield resource.metadata.name
        return
    model_name = resource.spec.model if isinstance(resource, ModelUpdate | UpdateApproval) else None
    if model_name:
        yield model_name
        return
    if not isinstance(resource, UpdateApproval):
        yield from cache.models_of_site(_namespace(resource), resource.metadata.name)
        return
    prefix = model_part(resource.spec.update or "")  # of a model that may not exist, which its status then reports
    models = cache.resources_of_kind(ContinualModel, _namespace(resource))
    yield from sorted({prefix, *(model.metadata.name for model in models if model.metadata.name.startswith(prefix))})
