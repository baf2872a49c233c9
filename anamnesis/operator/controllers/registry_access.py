"""Opens the registry of a model: checks whose it is, and signs what this operator writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.requests import model_identity, public_keys
from anamnesis.records import EntryKind, InputError, LogEntry, SignerRole
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log
from anamnesis.registry.identity import (
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
        identity, url, registry = read_identity(store), registry_url(model), self.sign(model, store)
        declarations = signed_declarations(entries, registry.signing)
        check_identity(identity, model_identity(model, sites.values()), declarations, has_log=bool(entries), url=url)
        is_shared = model.resource.spec.registry.shared
        return registry, check_cluster(identity, declarations, self.cluster_uid(), is_shared, url)

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
        registry, may_write = self.open(model, sites, store, entries)  # another model may have been faster
        if not may_write:
            author, reason = operator_identity(model.resource), "the operator of this cluster uses the registry"
            Log(registry, self.clock).append(EntryKind.JOIN, cluster, author, reason)

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
