"""Opens the registry of a model: checks whose it is, and signs what this operator writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.annotations import ADOPTED_REGISTRY
from anamnesis.operator.requests import model_identity, public_keys
from anamnesis.records import EntryKind, InputError, LogEntry, SignerRole
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log, LogPosition
from anamnesis.registry.identity import (
    ClusterUse,
    OtherModelError,
    check_cluster,
    check_identity,
    read_identity,
    signed_declarations,
    write_identity,
)
from anamnesis.registry.opening import read_private_key
from anamnesis.registry.registry_store import RegistryStore
from anamnesis.registry.signing import Signer, Signing, make_signer
from anamnesis.storage import Store


def operator_identity(model: ContinualModel) -> str:
    """Returns the author of this operator's log entries: the same for every replica and after every restart."""
    return f"anamnesis-operator/{model.metadata.uid}"


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """The access of this operator to registries.

    Attributes:
        cluster_uid: returns the uid of this cluster; empty where it is unknown.
        clock: returns the time, for log entries.
        key_file: the private key of this operator, or none.
    """

    cluster_uid: Callable[[], str]
    clock: Clock
    key_file: Path | None

    def open(
        self,
        model: LoadedResource[ContinualModel],
        sites: Mapping[str, LoadedResource[Site]],
        store: Store,
        entries: Sequence[LogEntry],
    ) -> tuple[RegistryStore, bool]:
        """Returns the registry in ``store``, and whether it is ready for an entry of this operator; writes nothing.

        Raises:
            OtherModelError: the registry belongs to another model or cluster.
            InputError: the model lists its keys, and this operator has none of them.
        """
        registry = self.sign(model, store)
        try:
            return registry, self._check(model, sites, registry, entries)
        except OtherModelError as error:
            if _is_adopted(model, entries):
                return registry, False
            raise OtherModelError(f"{error}. {_adopt_command(model, entries)}" if entries else str(error)) from None

    def establish(
        self,
        model: LoadedResource[ContinualModel],
        sites: Mapping[str, LoadedResource[Site]],
        store: Store,
        entries: Sequence[LogEntry],
    ) -> None:
        """Gives a registry its identity and, unless this cluster made it, an entry that this cluster uses it."""
        cluster = self.cluster_uid()
        write_identity(store, replace(model_identity(model, sites.values()), cluster=cluster))
        registry, author = self.sign(model, store), operator_identity(model.resource)
        log = Log(registry, self.clock)
        if _is_adopted(model, entries):
            name = model_identity(model, sites.values()).model
            log.append(EntryKind.ADOPT, name, author, f"the model has the annotation {ADOPTED_REGISTRY}")
        if not self._check(model, sites, registry, log.entries()):  # another model may have been faster
            log.append(EntryKind.JOIN, cluster, author, "the operator of this cluster uses the registry")

    def _check(
        self,
        model: LoadedResource[ContinualModel],
        sites: Mapping[str, LoadedResource[Site]],
        registry: RegistryStore,
        entries: Sequence[LogEntry],
    ) -> bool:
        """Returns whether this operator may write; raises ``OtherModelError``."""
        identity, url = read_identity(registry), registry_url(model)
        declarations = signed_declarations(entries, registry.signing)
        check_identity(identity, model_identity(model, sites.values()), declarations, has_log=bool(entries), url=url)
        use = ClusterUse(
            self.cluster_uid(),
            operator_identity(model.resource),
            shared=model.resource.spec.registry.shared,
            seen_entry=_last_seen_entry(model.resource, entries),
        )
        return check_cluster(identity, declarations, use, url)

    def sign(self, model: LoadedResource[ContinualModel], store: Store) -> RegistryStore:
        """Returns the registry in ``store`` with the keys of the model, without a check of its identity.

        Raises:
            InputError: the model lists its keys, and this operator has none of them.
        """
        plain_store = store.store if isinstance(store, RegistryStore) else store
        keys, identity = public_keys(model.resource.spec), read_identity(plain_store)
        signer = self._signer(model) if keys else None
        return RegistryStore(plain_store, Signing(identity.digest if identity else "", signer, keys))

    def _signer(self, model: LoadedResource[ContinualModel]) -> Signer:
        if self.key_file is None:
            raise InputError(
                "spec.registry.signing: this operator has no private key; set signing.secretName of the chart "
                "(option --signing-key of anamnesis operator), or remove spec.registry.signing"
            )
        signer = make_signer(SignerRole.OPERATOR, read_private_key(self.key_file.resolve().as_uri()))
        signing_keys = [
            key
            for key in public_keys(model.resource.spec)
            if key.role is SignerRole.OPERATOR and key.last_entry is None and key.key == signer.public_key
        ]
        if not signing_keys:
            raise InputError(
                "spec.registry.signing.publicKeys: the key of this operator is not listed, so nothing that it writes "
                f"would count; add name: NAME, role: Operator, key: {signer.public_key}"
            )
        return signer


def _is_adopted(model: LoadedResource[ContinualModel], entries: Sequence[LogEntry]) -> bool:
    """Whether a person gives the registry to the model. The log grows, so the annotation counts once."""
    annotation = model.resource.metadata.annotations.get(ADOPTED_REGISTRY, "")
    return bool(entries) and annotation == str(LogPosition.of_entry(entries[-1]))


def _adopt_command(model: LoadedResource[ContinualModel], entries: Sequence[LogEntry]) -> str:
    metadata = model.resource.metadata
    return (
        f"Or, on this cluster: kubectl -n {metadata.namespace} annotate --overwrite continualmodel {metadata.name} "
        f"{ADOPTED_REGISTRY}={LogPosition.of_entry(entries[-1])}"
    )


def _last_seen_entry(model: ContinualModel, entries: Sequence[LogEntry]) -> int:
    """The number of the log's head in the model's status, where it is of this log; else 0."""
    head = model.status.log_head
    is_of_this_log = head and 0 < head.number <= len(entries) and entries[head.number - 1].digest == head.digest
    return head.number if head and is_of_this_log else 0
