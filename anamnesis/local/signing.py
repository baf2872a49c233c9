"""The registry of a model on this machine: its identity, and the key of this machine that signs records."""

from collections.abc import Sequence

from anamnesis.local.state import LocalState
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource, ResourceSet
from anamnesis.operator.requests import model_identity, public_keys
from anamnesis.records import EntryKind, IntegrityError, LogEntry, RefusedError, SignerRole, SigningSettings
from anamnesis.registry import Log
from anamnesis.registry.identity import check_identity, read_identity, signed_declarations, write_identity
from anamnesis.registry.opening import read_private_key, sign_with
from anamnesis.registry.registry_store import signing_of
from anamnesis.registry.signature_verification import warn_about_unverified_entries
from anamnesis.registry.signing import make_signer
from anamnesis.storage import Store


def signing_settings(model: LoadedResource[ContinualModel], state: LocalState) -> SigningSettings:
    """Returns how this machine signs records of the model: with the key file, where it exists."""
    key_file = state.signing_key
    reference = key_file.resolve().as_uri() if key_file.exists() else ""
    return SigningSettings(reference, SignerRole.LOCAL, public_keys(model.resource.spec))


def open_model_registry(model: LoadedResource[ContinualModel], resources: ResourceSet, state: LocalState) -> Store:
    """Returns the registry of a model; writes nothing.

    Raises:
        OtherModelError: the registry belongs to another model.
        IntegrityError: the log was cut or rewritten since this machine has used it.
    """
    store = state.open_registry_store(registry_url(model))
    registry = sign_with(store, signing_settings(model, state))
    entries = Log(store).entries()
    _check_head(state, entries, store.url)
    check_identity(
        read_identity(store),
        model_identity(model, resources.sites_of(model)),
        signed_declarations(entries, signing_of(registry)),
        has_log=bool(entries),
        url=store.url,
    )
    return registry


def _check_head(state: LocalState, entries: Sequence[LogEntry], url: str) -> None:
    """Compares the log with the head that this machine saw: a person who can cut the log cannot change it here."""
    head = state.head(url)
    if head is None or not head.number:
        return
    if len(entries) < head.number or entries[head.number - 1].digest != head.digest:
        raise IntegrityError(
            f"{url}: the log was cut or rewritten: it has {len(entries)} entries, and this machine saw {head}. "
            "Restore a copy of the registry that has it. If the entries are lost for good, delete "
            f"{state.status_file}"
        )


def establish_registry(model: LoadedResource[ContinualModel], resources: ResourceSet, state: LocalState) -> Store:
    """Returns the registry of a model, ready for writing: with its identity, and with the key of this machine.

    Raises:
        OtherModelError: the registry belongs to another model.
        RefusedError: the model lists its keys, and the key of this machine is not one of them.
    """
    store = open_model_registry(model, resources, state)
    make_machine_key(model, state)
    if read_identity(store) is None:
        write_identity(store, model_identity(model, resources.sites_of(model)))
    return open_model_registry(model, resources, state)


def make_machine_key(model: LoadedResource[ContinualModel], state: LocalState) -> None:
    """Creates the key of this machine on first use.

    Raises:
        RefusedError: the model lists its keys, and the key of this machine is not one of them.
    """
    signer = make_signer(SignerRole.LOCAL, read_private_key(state.signing_key.resolve().as_uri(), create=True))
    keys = public_keys(model.resource.spec)
    if keys and signer.fingerprint not in {key.fingerprint for key in keys}:
        raise RefusedError(
            f"spec.registry.signing.publicKeys: the key of this machine ({state.signing_key}) is not listed, so "
            f"nothing that it writes would count; add name: NAME, role: Local, key: {signer.public_key}"
        )


def adopt_registry(
    model: LoadedResource[ContinualModel], resources: ResourceSet, state: LocalState, author: str, reason: str
) -> str:
    """Declares in the log that the registry belongs to this model from now on, and to no cluster before.

    Returns:
        The name of the model in the registry.

    Raises:
        RefusedError: the model lists its keys, and the key of this machine is not one of them.
    """
    make_machine_key(model, state)
    registry = sign_with(state.open_registry_store(registry_url(model)), signing_settings(model, state))
    identity = model_identity(model, resources.sites_of(model))
    Log(registry).append(EntryKind.ADOPT, identity.model, author, reason)
    open_model_registry(model, resources, state)  # refuses other tasks or unsigned records
    return identity.model


def unverified_entry_warnings(registry: Store) -> tuple[str, ...]:
    """Returns a sentence about the entries of a registry's log whose signature does not count, or nothing."""
    return warn_about_unverified_entries(Log(registry).entries(), signing_of(registry))
