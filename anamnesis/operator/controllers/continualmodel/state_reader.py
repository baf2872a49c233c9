"""Reads the scene of one model: resources, log, back end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anamnesis.operator.addresses import registry_url, split_key_reference
from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend
from anamnesis.operator.backends.guarded_backend import guarded
from anamnesis.operator.controllers.continualmodel.names import prefix
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.controllers.continualmodel.validation import (
    LOST,
    check_absolute,
    check_anchor,
    check_stores,
    check_tasks,
)
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log
from anamnesis.storage import Store, open_store
from anamnesis.storage.cached import CachedStore

Environment = Mapping[str, str]
Backends = Callable[[Loaded[ContinualModel]], Backend]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """What reconciling needs besides the cluster.

    Attributes:
        environment: of the process; a model's own secret is merged over it.
        state: folder for what the local back end keeps, and split keys where no Secret is named.
        backends: gives a model its back end.
        open_store: opens a registry or a site's store.
    """

    environment: Environment
    state: Path
    backends: Backends
    open_store: Callable[[str, Environment], Store] = open_store


class Reader:
    """Reads what is there for a model; keeps a cache of each registry."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

    def scene(self, loaded: Loaded[ContinualModel]) -> Scene:
        """Reads what is there: approvals last, so that an update that they name is not read before it is made."""
        model, namespace = loaded.resource, loaded.resource.metadata.namespace or ""
        check_absolute(loaded)
        environment = self._environment(loaded)
        wanted = [reference.name for reference in model.spec.sites]
        found = {site.metadata.name: site for site in self._cluster.list(Site, namespace)}
        sites = {name: Loaded(found[name], Path(f"/{namespace}/{name}")) for name in wanted if name in found}
        check_stores(loaded, sites)
        check_tasks(loaded, sites)
        updates = self._cluster.list(ModelUpdate, namespace, {"spec.model": loaded.name})
        registry, entries = self._log(loaded, environment)
        return Scene(
            model=loaded,
            sites=sites,
            updates=tuple(sorted(updates, key=_age)),
            approvals=self._approvals(loaded, updates),
            guarded_since=self._cluster.approvals_guarded_since(),
            registry=registry,
            open_store=partial(self._open, environment=environment),
            backend=guarded(lambda: self._options.backends(loaded), self._cluster.require),
            entries=entries,
            split_key=split_key_reference(loaded, self._options.state / namespace / loaded.name / "split.key"),
            now=self._clock(),
        )

    def registry(self, loaded: Loaded[ContinualModel]) -> Store:
        """Returns a model's registry.

        Raises:
            InputError: the Secret with its credentials is not there.
        """
        return self._open(registry_url(loaded), self._environment(loaded))

    def again(self, loaded: Loaded[ContinualModel]) -> Loaded[ContinualModel]:
        """Returns the model as it is now; one that is gone stays as it was."""
        namespace = loaded.resource.metadata.namespace or ""
        return Loaded(self._cluster.get(ContinualModel, namespace, loaded.name) or loaded.resource, loaded.file)

    def _log(self, loaded: Loaded[ContinualModel], environment: Environment) -> tuple[Store, tuple[LogEntry, ...]]:
        """Reads a registry's log. Where it is not what it was, what is remembered may be of one that was replaced."""
        model, url = loaded.resource, registry_url(loaded)
        try:
            registry = self._open(url, environment)
            entries = Log(registry).entries()
            check_anchor(model, entries)
        except IntegrityError:
            self._stores.clear()
            registry = self._open(url, environment)
            entries = Log(registry).entries()
            check_anchor(model, entries, lost=model.metadata.annotations.get(LOST, ""))
        return registry, entries

    def _approvals(
        self, loaded: Loaded[ContinualModel], updates: tuple[ModelUpdate, ...]
    ) -> tuple[UpdateApproval, ...]:
        """The approvals that speak of this model, or of one of its updates, there or forgotten."""
        ours = {update.metadata.name for update in updates}
        found = self._cluster.list(UpdateApproval, loaded.resource.metadata.namespace or "")
        mine = [
            one
            for one in found
            if one.spec.model == loaded.name or one.spec.update in ours or _names_update_of(one, loaded.name)
        ]
        return tuple(sorted(mine, key=_age))

    def _environment(self, loaded: Loaded[ContinualModel]) -> Environment:
        reference = loaded.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.secret(loaded.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise InputError(f"spec.registry.credentialsSecret: there is no Secret {reference.name!r} that may be read")
        return {**self._options.environment, **secret}

    def _open(self, url: str, environment: Environment) -> Store:
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            store = self._options.open_store(url, environment)
            self._stores[key] = CachedStore(store, before_write=self._cluster.require)
        return self._stores[key]


def _names_update_of(approval: UpdateApproval, model: str) -> bool:
    """Whether it names an update that this model might have had: the name's part before the digest."""
    return (approval.spec.update or "").rpartition("-")[0] == prefix(model)[:-1]


def _age(resource: ModelUpdate | UpdateApproval) -> tuple[float, str]:
    made = resource.metadata.creation_timestamp
    return (made.timestamp() if made else 0.0, resource.metadata.name)
