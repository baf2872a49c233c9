"""Opens the registries and stores of models, each once, and reads the logs of registries."""

from collections.abc import Sequence

from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.annotations import LOST_LOG_HEAD
from anamnesis.operator.controllers.options import Environment, ReconcileOptions
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.registry import Log, LogPosition
from anamnesis.storage import Store
from anamnesis.storage.cached import CachedStore


class Registries:
    """The registries and stores of all models, each with a cache. Every call is safe from any thread."""

    def __init__(self, cluster: Cluster, options: ReconcileOptions) -> None:
        self._cluster, self._options = cluster, options
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

    def environment_of(self, loaded_model: LoadedResource[ContinualModel]) -> Environment:
        """Returns the environment of this process with the model's credentials.

        Raises:
            InputError: the Secret is missing.
        """
        reference = loaded_model.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.read_secret(loaded_model.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise InputError(
                f"spec.registry.credentialsSecret: the Secret {reference.name!r} does not exist or is not readable; "
                "create the Secret in the model's namespace, or give the operator the right to read it"
            )
        return {**self._options.environment, **secret}

    def open_store(self, url: str, environment: Environment) -> Store:
        """Returns the store at a URL."""
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            store = self._options.open_store(url, environment)
            self._stores[key] = CachedStore(store, before_write=self._cluster.ensure_leader)
        return self._stores[key]

    def open_registry(self, loaded_model: LoadedResource[ContinualModel]) -> Store:
        """Returns a model's registry.

        Raises:
            InputError: its URL is relative, or the Secret with its credentials is missing.
        """
        check_registry_url(loaded_model)
        return self.open_store(registry_url(loaded_model), self.environment_of(loaded_model))

    def read_log(self, loaded_model: LoadedResource[ContinualModel]) -> tuple[Store, tuple[LogEntry, ...]]:
        """Returns a model's registry and the entries of its log.

        Where the log has changed, the cache may be that of a registry that was replaced.

        Raises:
            InputError: the registry's URL is relative, or the Secret with its credentials is missing.
            AnamnesisError: the registry is not reachable, or damaged.
        """
        model = loaded_model.resource
        try:
            registry = self.open_registry(loaded_model)
            entries = Log(registry).entries()
            check_log_head(model, entries)
        except IntegrityError:
            self._stores.clear()
            registry = self.open_registry(loaded_model)
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
