"""Opens the registries and stores of models, each once, and reads the logs of registries."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.annotations import LOST_LOG_HEAD
from anamnesis.operator.controllers.options import Environment, ReconcileOptions
from anamnesis.operator.controllers.registry_access import RegistryAccess
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.source_credentials import AWS_KEYS, SecretMissingError
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log, LogPosition
from anamnesis.registry.registry_store import RegistryStore
from anamnesis.storage import Store
from anamnesis.storage.cached import CachedStore

logger = logging.getLogger(__name__)

Sites = Mapping[str, LoadedResource[Site]]


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """The registry of one model.

    Attributes:
        store: signs and verifies with the keys of the model.
        entries: of its log.
        is_established: it has its identity, and this cluster may write to it.
    """

    store: RegistryStore
    entries: tuple[LogEntry, ...]
    is_established: bool


class Registries:
    """The registries and stores of all models, each with a cache. Every call is safe from any thread."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._options = cluster, options
        self._access = RegistryAccess(cluster.cluster_uid, clock, options.signing_key)
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

    def environment_of(self, loaded_model: LoadedResource[ContinualModel]) -> Environment:
        """Returns the environment of this process with the model's credentials.

        Raises:
            InputError: the Secret is missing, or has no key of the bucket.
        """
        reference = loaded_model.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.read_secret(loaded_model.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise SecretMissingError(
                f"spec.registry.credentialsSecret: the Secret {reference.name!r} does not exist or is not readable; "
                "create the Secret in the model's namespace, or give the operator the right to read it"
            )
        environment = {**self._options.environment, **secret}
        missing_keys = [key for key in AWS_KEYS if not environment.get(key)]
        if loaded_model.resource.spec.registry.url.startswith("s3://") and missing_keys:
            raise InputError(
                f"spec.registry.credentialsSecret: the Secret {reference.name!r} has no key "
                f"{' and no key '.join(missing_keys)}; add the keys of the bucket"
            )
        return environment

    def open_store(self, url: str, environment: Environment) -> Store:
        """Returns the store at a URL."""
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            store = self._options.open_store(url, environment)
            self._stores[key] = CachedStore(store, before_write=self._cluster.ensure_leader)
        return self._stores[key]

    def open_registry(self, loaded_model: LoadedResource[ContinualModel]) -> RegistryStore:
        """Returns a model's registry with its keys, without a check of its identity.

        Raises:
            InputError: its URL is relative, or the Secret with its credentials is missing.
        """
        return self._access.sign(loaded_model, self._open_plain(loaded_model))

    def open_model(self, loaded_model: LoadedResource[ContinualModel], sites: Sites) -> ModelRegistry:
        """Returns a model's registry and its log; checks whose it is, and writes nothing.

        Raises:
            InputError: its URL is relative, or a credential or key is missing.
            AnamnesisError: the registry is not reachable, damaged, or belongs to another model or cluster.
        """
        store, entries = self._read_log(loaded_model)
        registry, is_established = self._access.open(loaded_model, sites, store, entries)
        return ModelRegistry(registry, entries, is_established)

    def establish(
        self, loaded_model: LoadedResource[ContinualModel], sites: Sites, store: Store, entries: Sequence[LogEntry]
    ) -> None:
        """Prepares a registry for the first entry of this operator."""
        self._access.establish(loaded_model, sites, store, entries)

    def read_sites(self, loaded_model: LoadedResource[ContinualModel]) -> Sites:
        """Returns those of the model's sites that exist; a site that the types do not accept says so itself.

        Each is read by its name: a namespace may have thousands of others.
        """
        namespace, sites = loaded_model.resource.metadata.namespace or "", {}
        for reference in loaded_model.resource.spec.sites:
            try:
                site = self._cluster.get(Site, namespace, reference.name)
            except InputError as error:
                logger.warning("%s: the operator ignores a site: %s", loaded_model.name, error)
                continue
            if site is not None:
                sites[reference.name] = LoadedResource(site, Path(f"/{namespace}/{reference.name}"))
        return sites

    def read_namespace_sites(self, loaded_model: LoadedResource[ContinualModel]) -> Sites:
        """Returns all Sites of the model's namespace; a namespace may have thousands."""
        namespace = loaded_model.resource.metadata.namespace or ""
        return {
            site.metadata.name: LoadedResource(site, Path(f"/{namespace}/{site.metadata.name}"))
            for site in self._cluster.list(Site, namespace)
        }

    def _open_plain(self, loaded_model: LoadedResource[ContinualModel]) -> Store:
        check_registry_url(loaded_model)
        return self.open_store(registry_url(loaded_model), self.environment_of(loaded_model))

    def _read_log(self, loaded_model: LoadedResource[ContinualModel]) -> tuple[Store, tuple[LogEntry, ...]]:
        """Reads a registry's log. Where the log has changed, the cache may be that of a registry that was replaced."""
        model = loaded_model.resource
        try:
            registry = self._open_plain(loaded_model)
            entries = Log(registry).entries()
            check_log_head(model, entries)
        except IntegrityError:
            self._stores.clear()
            registry = self._open_plain(loaded_model)
            entries = Log(registry).entries()
            check_log_head(model, entries, lost_head=model.metadata.annotations.get(LOST_LOG_HEAD, ""))
        return registry, entries


def check_registry_url(model: LoadedResource[ContinualModel]) -> None:
    """Refuses a relative URL: only a file on a laptop has a folder that a URL can be relative to.

    Raises:
        InputError: the registry's URL is relative.
    """
    url = model.resource.spec.registry.url
    if not url.startswith(("s3://", "file:///")):
        raise InputError(f"spec.registry.url: expected s3://... or file:///... on a cluster, found {url!r}")


def check_log_head(model: ContinualModel, entries: Sequence[LogEntry], lost_head: str = "") -> None:
    """Compares the registry's log with the head in the status: a user who can cut the log cannot change the status.

    Args:
        model: its status has the head.
        entries: of the log.
        lost_head: the head ``<number>:<digest>`` that a person knows to be lost: the log need not have it. No later
            log has this head, so the annotation counts once.

    Raises:
        IntegrityError: the log was cut or rewritten.
    """
    recorded_head = model.status.log_head
    if not recorded_head or (
        len(entries) >= recorded_head.number and entries[recorded_head.number - 1].digest == recorded_head.digest
    ):
        return
    head, metadata = str(LogPosition(recorded_head.number, recorded_head.digest)), model.metadata
    if lost_head != head:
        raise IntegrityError(
            f"the registry's log was cut or rewritten: it has {len(entries)} entries, and its entry "
            f"{recorded_head.number} is not the one that status.logHead names. Restore a copy of the registry "
            "that has this entry. If there is none, run "
            f"'anamnesis registry verify --registry {model.spec.registry.url}', then continue without the entry: "
            f"kubectl -n {metadata.namespace} annotate --overwrite continualmodel {metadata.name} "
            f"{LOST_LOG_HEAD}={head}"
        )
