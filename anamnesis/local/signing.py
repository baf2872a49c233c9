"""The registry of a model on this machine: its identity, and the key of this machine that signs records."""

from anamnesis.local.state import LocalState
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, LoadedResource, ResourceSet
from anamnesis.operator.requests import model_identity, public_keys
from anamnesis.records import RefusedError, SignerRole, SigningSettings
from anamnesis.registry import Log
from anamnesis.registry.identity import check_identity, read_identity, write_identity
from anamnesis.registry.opening import read_private_key, sign_with
from anamnesis.registry.signing import make_signer
from anamnesis.storage import Store, open_store


def signing_settings(model: LoadedResource[ContinualModel], state: LocalState) -> SigningSettings:
    """Returns how this machine signs records of the model: with the key file, where it exists."""
    key_file = state.signing_key
    reference = key_file.resolve().as_uri() if key_file.exists() else ""
    return SigningSettings(reference, SignerRole.LOCAL, public_keys(model.resource.spec))


def open_model_registry(model: LoadedResource[ContinualModel], resources: ResourceSet, state: LocalState) -> Store:
    """Returns the registry of a model; writes nothing.

    Raises:
        OtherModelError: the registry belongs to another model.
    """
    store = open_store(registry_url(model))
    model_on_this_machine = model_identity(model, resources.sites_of(model))
    check_identity(read_identity(store), model_on_this_machine, Log(store).entries(), store.url)
    return sign_with(store, signing_settings(model, state))


def establish_registry(model: LoadedResource[ContinualModel], resources: ResourceSet, state: LocalState) -> Store:
    """Returns the registry of a model, ready for writing: with its identity, and with the key of this machine.

    Raises:
        OtherModelError: the registry belongs to another model.
        RefusedError: the model lists its keys, and the key of this machine is not one of them.
    """
    store = open_model_registry(model, resources, state)
    reference = state.signing_key.resolve().as_uri()
    signer = make_signer(SignerRole.LOCAL, read_private_key(reference, create=True))
    keys = public_keys(model.resource.spec)
    if keys and signer.fingerprint not in {key.fingerprint for key in keys}:
        raise RefusedError(
            f"spec.registry.signing.publicKeys: the key of this machine ({state.signing_key}) is not listed, so "
            f"nothing that it writes would count; add name: NAME, role: Local, key: {signer.public_key}"
        )
    if read_identity(store) is None:
        write_identity(store, model_identity(model, resources.sites_of(model)))
    return open_model_registry(model, resources, state)
