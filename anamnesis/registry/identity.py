"""The identity of a registry: which model it belongs to. Written once, checked before each use."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from anamnesis.records import EntryKind, IntegrityError, LogEntry, RefusedError, Task, digest_json, encode
from anamnesis.registry.signing import Signing
from anamnesis.storage.documents import load_record, write_once
from anamnesis.storage.store import MissingObjectError, Store

IDENTITY_KEY = "registry.json"


class OtherModelError(RefusedError):
    """The registry belongs to another model, or to this model under other conditions."""


@dataclass(frozen=True, slots=True)
class RegistryIdentity:
    """The model of a registry when the registry was made. Signatures count in the registry with this digest only.

    Attributes:
        model: ``namespace/name`` on a cluster, else the name.
        tasks: the tasks of the model's sites, by name.
        signed: records without a signature do not count.
        cluster: uid of the cluster whose operator made the registry; empty where a command on a machine did.
        nonce: random text; it distinguishes two registries of one model.
        schema: schema of this record.
    """

    model: str
    tasks: Mapping[str, Task] = field(default_factory=dict)
    signed: bool = False
    cluster: str = ""
    nonce: str = ""
    schema: int = 1

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))


def read_identity(store: Store) -> RegistryIdentity | None:
    """Returns the identity of a registry, or none before the first write.

    Raises:
        IntegrityError: its bytes were changed.
    """
    try:
        return load_record(RegistryIdentity, store.get(IDENTITY_KEY), IDENTITY_KEY)
    except MissingObjectError:
        return None


def write_identity(store: Store, identity: RegistryIdentity) -> RegistryIdentity:
    """Writes the identity unless one is stored; returns the stored one, which is the first."""
    return write_once(store, IDENTITY_KEY, replace(identity, nonce=secrets.token_hex(16)))


def signed_declarations(entries: Iterable[LogEntry], signing: Signing) -> tuple[LogEntry, ...]:
    """Returns the ``adopt`` and ``join`` entries of a log whose signature counts."""
    kinds = (EntryKind.ADOPT, EntryKind.JOIN)
    return tuple(entry for entry in entries if entry.kind in kinds and signing.is_signed(entry))


def check_identity(
    stored: RegistryIdentity | None,
    model: RegistryIdentity,
    declarations: Iterable[LogEntry],
    *,
    has_log: bool,
    url: str,
) -> None:
    """Compares the stored identity of a registry with a model that is about to use it.

    Args:
        stored: of the registry; none before the first write.
        model: what the model would write.
        declarations: see ``signed_declarations``; an ``adopt`` entry gives the model another name.
        has_log: the registry's log has an entry.
        url: of the registry, for messages.

    Raises:
        OtherModelError: the registry belongs to another model.
        IntegrityError: signed records have lost their identity.
    """
    if stored is None:
        if model.signed and has_log:
            raise IntegrityError(
                f"{url}: {IDENTITY_KEY} is missing, so no signature can be verified; restore it from a backup"
            )
        return
    registry_name = current_name(stored, declarations)
    if not _is_same_name(registry_name, model.model):
        raise OtherModelError(
            f"spec.registry.url: {url} belongs to the model {registry_name}, and this is {model.model}. Give each "
            "model a registry of its own. If the model was renamed, run: anamnesis registry adopt -f FILE --reason TEXT"
        )
    _check_tasks(stored, model, url)
    if stored.signed != model.signed:
        raise OtherModelError(
            f"spec.registry.signing: the records of {url} are {'signed' if stored.signed else 'unsigned'}, and this "
            f"model {'has' if model.signed else 'has no'} spec.registry.signing; "
            + ("add its public keys" if stored.signed else "remove the field, or start a new registry")
        )


def current_name(stored: RegistryIdentity, declarations: Iterable[LogEntry]) -> str:
    """Returns the name of the registry's model: that of the last ``adopt`` entry, else the first."""
    names = [stored.model, *(entry.subject for entry in declarations if entry.kind is EntryKind.ADOPT)]
    return names[-1]


def _is_same_name(registry_name: str, model: str) -> bool:
    """A file on a laptop often has no namespace: then the name alone counts."""
    if "/" in registry_name and "/" in model:
        return registry_name == model
    return registry_name.rpartition("/")[2] == model.rpartition("/")[2]


def _check_tasks(stored: RegistryIdentity, model: RegistryIdentity, url: str) -> None:
    for name, task in model.tasks.items():
        stored_task = stored.tasks.get(name, task)
        if (stored_task.type, stored_task.classes) != (task.type, task.classes):
            raise OtherModelError(
                f"spec.sites: {url} was made with the task {name!r} of the classes {', '.join(stored_task.classes)}, "
                f"and this model has {', '.join(task.classes)}; restore the classes, or give it another registry"
            )


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """How the operator of a cluster uses a registry.

    Attributes:
        cluster: uid of the cluster, which changes when its Lease is deleted; empty where it is unknown.
        operator: author of the operator's log entries.
        shared: whether the model declares that clusters share the registry.
        seen_entry: number of the last log entry that the model has seen; 0 for none.
    """

    cluster: str
    operator: str = ""
    shared: bool = False
    seen_entry: int = 0


def check_cluster(stored: RegistryIdentity | None, declarations: Iterable[LogEntry], use: ClusterUse, url: str) -> bool:
    """Refuses a second cluster on a registry that is not declared as shared.

    Args:
        stored: identity of the registry; none before the first write.
        declarations: see ``signed_declarations``.
        use: how the cluster that is about to use the registry does so.
        url: of the registry, for messages.

    Returns:
        Whether this cluster may write; else it first needs an identity or a ``join`` entry.

    Raises:
        OtherModelError: another cluster uses the registry, and one of the two models does not declare it.
    """
    first_cluster = use.cluster if use.seen_entry else stored.cluster if stored else ""
    joined_clusters = set[str]()
    for entry in declarations:
        if entry.kind is EntryKind.JOIN:
            joined_clusters.add(use.cluster if entry.author == use.operator else entry.subject)
        elif entry.kind is EntryKind.ADOPT:  # a person says that the clusters before do not use it any more
            joined_clusters.clear()
            first_cluster = first_cluster if entry.number <= use.seen_entry else ""
    other_clusters = {first_cluster, *joined_clusters} - {use.cluster, ""}
    undeclared_clusters = other_clusters - joined_clusters if use.shared else other_clusters
    if undeclared_clusters and use.cluster:
        raise OtherModelError(
            f"spec.registry.shared: the cluster {min(undeclared_clusters)} uses {url} too. To share it, set "
            "spec.registry.shared: true in the models of all its clusters; else give this model a registry of its own. "
            "If that cluster is gone, run: anamnesis registry adopt -f FILE --reason TEXT"
        )
    is_home = use.cluster in joined_clusters or (use.cluster == first_cluster and not use.shared)
    return stored is not None and (is_home or not use.cluster)
