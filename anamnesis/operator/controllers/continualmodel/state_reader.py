"""Reads the scene of one model: resources, log, back end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anamnesis.operator.addresses import registry_url, split_key_reference
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend
from anamnesis.operator.backends.guarded_backend import make_guarded_backend
from anamnesis.operator.controllers.continualmodel.names import name_prefix
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.controllers.continualmodel.validation import (
    LOST_HEAD_ANNOTATION,
    check_log_head,
    check_registry_url,
    check_store_urls,
    check_task_definitions,
)
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log
from anamnesis.storage import Store, open_store
from anamnesis.storage.cached import CachedStore

Environment = Mapping[str, str]
BackendFactory = Callable[[LoadedResource[ContinualModel]], Backend]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """What reconciling needs besides the cluster.

    Attributes:
        environment: of the process; a model's own secret is merged over it.
        state_folder: folder for what the local back end keeps, and split keys where no Secret is named.
        backend_factory: gives a model its back end.
        open_store: opens a registry or a site's store.
    """

    environment: Environment
    state_folder: Path
    backend_factory: BackendFactory
    open_store: Callable[[str, Environment], Store] = open_store


class StateReader:
    """Reads what is there for a model; keeps a cache of each registry."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

    def read(self, loaded_model: LoadedResource[ContinualModel]) -> ModelState:
        """Reads what is there: approvals last, so that an update that they name is not read before it is made."""
        model, namespace = loaded_model.resource, loaded_model.resource.metadata.namespace or ""
        check_registry_url(loaded_model)
        environment = self._model_environment(loaded_model)
        site_names = [reference.name for reference in model.spec.sites]
        site_by_name = {site.metadata.name: site for site in self._cluster.list(Site, namespace)}
        sites = {
            name: LoadedResource(site_by_name[name], Path(f"/{namespace}/{name}"))
            for name in site_names
            if name in site_by_name
        }
        check_store_urls(loaded_model, sites)
        check_task_definitions(loaded_model, sites)
        updates = self._cluster.list(ModelUpdate, namespace, {"spec.model": loaded_model.name})
        registry, entries = self._read_log(loaded_model, environment)
        return ModelState(
            model=loaded_model,
            sites=sites,
            updates=tuple(sorted(updates, key=_creation_order)),
            approvals=self._read_approvals(loaded_model, updates),
            admission_policy_since=self._cluster.approval_policy_in_force_since(),
            registry=registry,
            open_store=partial(self._open_cached_store, environment=environment),
            backend=make_guarded_backend(
                lambda: self._options.backend_factory(loaded_model), self._cluster.ensure_leader
            ),
            entries=entries,
            split_key=split_key_reference(
                loaded_model, self._options.state_folder / namespace / loaded_model.name / "split.key"
            ),
            now=self._clock(),
        )

    def open_registry(self, loaded_model: LoadedResource[ContinualModel]) -> Store:
        """Returns a model's registry.

        Raises:
            InputError: the Secret with its credentials is not there.
        """
        return self._open_cached_store(registry_url(loaded_model), self._model_environment(loaded_model))

    def refresh_model(self, loaded_model: LoadedResource[ContinualModel]) -> LoadedResource[ContinualModel]:
        """Returns the model as it is now; one that is gone stays as it was."""
        namespace = loaded_model.resource.metadata.namespace or ""
        return LoadedResource(
            self._cluster.get(ContinualModel, namespace, loaded_model.name) or loaded_model.resource, loaded_model.file
        )

    def _read_log(
        self, loaded_model: LoadedResource[ContinualModel], environment: Environment
    ) -> tuple[Store, tuple[LogEntry, ...]]:
        """Reads a registry's log. Where it is not what it was, what is remembered may be of one that was replaced."""
        model, url = loaded_model.resource, registry_url(loaded_model)
        try:
            registry = self._open_cached_store(url, environment)
            entries = Log(registry).entries()
            check_log_head(model, entries)
        except IntegrityError:
            self._stores.clear()
            registry = self._open_cached_store(url, environment)
            entries = Log(registry).entries()
            check_log_head(model, entries, lost_head=model.metadata.annotations.get(LOST_HEAD_ANNOTATION, ""))
        return registry, entries

    def _read_approvals(
        self, loaded_model: LoadedResource[ContinualModel], updates: tuple[ModelUpdate, ...]
    ) -> tuple[UpdateApproval, ...]:
        """The approvals that speak of this model, or of one of its updates, there or forgotten."""
        update_names = {update.metadata.name for update in updates}
        approvals = self._cluster.list(UpdateApproval, loaded_model.resource.metadata.namespace or "")
        model_approvals = [
            approval
            for approval in approvals
            if approval.spec.model == loaded_model.name
            or approval.spec.update in update_names
            or _names_update_of(approval, loaded_model.name)
        ]
        return tuple(sorted(model_approvals, key=_creation_order))

    def _model_environment(self, loaded_model: LoadedResource[ContinualModel]) -> Environment:
        reference = loaded_model.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.read_secret(loaded_model.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise InputError(f"spec.registry.credentialsSecret: there is no Secret {reference.name!r} that may be read")
        return {**self._options.environment, **secret}

    def _open_cached_store(self, url: str, environment: Environment) -> Store:
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            store = self._options.open_store(url, environment)
            self._stores[key] = CachedStore(store, before_write=self._cluster.ensure_leader)
        return self._stores[key]


def _names_update_of(approval: UpdateApproval, model: str) -> bool:
    """Whether it names an update that this model might have had: the name's part before the digest."""
    return (approval.spec.update or "").rpartition("-")[0] == name_prefix(model)[:-1]


def _creation_order(resource: ModelUpdate | UpdateApproval) -> tuple[float, str]:
    created_at = resource.metadata.creation_timestamp
    return (created_at.timestamp() if created_at else 0.0, resource.metadata.name)
