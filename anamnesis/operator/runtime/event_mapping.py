"""Which keys a change touches."""

from collections.abc import Iterator

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.runtime.cache import Cache, Change
from anamnesis.operator.runtime.reconcile_key import Key


def touched(change: Change, cache: Cache) -> Iterator[Key]:
    """Yields the keys that a change asks for: a site's are its own and those of the models that name it."""
    if change.unread and change.unread[0] in ("ContinualModel", "Site"):
        yield Key(*change.unread)  # it is to be told so
        return
    resource = change.after or change.before
    if resource is None:
        return
    namespace = _namespace(resource)
    if isinstance(resource, Site):
        yield Key("Site", namespace, resource.metadata.name)
        if _only_polled(change):
            return
    yield from (Key("ContinualModel", namespace, name) for name in _models(resource, cache))


def own_keys(cache: Cache) -> Iterator[Key]:
    """Yields the key of every model and every site."""
    for resource in cache.resources():
        if isinstance(resource, ContinualModel | Site):
            yield Key(resource.kind, _namespace(resource), resource.metadata.name)


def _namespace(resource: Resource) -> str:
    return resource.metadata.namespace or ""


def _only_polled(change: Change) -> bool:
    """A look that found nothing new is nothing to the models."""
    if not isinstance(change.before, Site) or not isinstance(change.after, Site):
        return False
    before, after = (site.model_copy(update={"status": site.status.model_copy(update={"polled": None})})
                     for site in (change.before, change.after))  # fmt: skip
    return (before.spec, before.status) == (after.spec, after.status)


def _models(resource: Resource, cache: Cache) -> Iterator[str]:
    if isinstance(resource, ContinualModel):
        yield resource.metadata.name
        return
    named = resource.spec.model if isinstance(resource, ModelUpdate | UpdateApproval) else None
    if named:
        yield named
    else:
        yield from (model.metadata.name for model in _neighbours(resource, cache) if _concerns(resource, model))


def _neighbours(resource: Resource, cache: Cache) -> Iterator[ContinualModel]:
    for other in cache.resources():
        if isinstance(other, ContinualModel) and _namespace(other) == _namespace(resource):
            yield other


def _concerns(resource: Resource, model: ContinualModel) -> bool:
    """Whether a model names a site, or an approval may speak of an update of the model, there or forgotten."""
    if isinstance(resource, UpdateApproval):
        return model.metadata.name.startswith((resource.spec.update or "").rpartition("-")[0])
    return any(reference.name == resource.metadata.name for reference in model.spec.sites)
