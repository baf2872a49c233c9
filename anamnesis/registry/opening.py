"""Opens the registry of a model with the keys that sign and verify its records."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from anamnesis.records import InputError, IntegrityError, SigningSettings
from anamnesis.registry.identity import IDENTITY_KEY, read_identity
from anamnesis.registry.registry_store import RegistryStore
from anamnesis.registry.signing import Signing, make_signer, new_private_key
from anamnesis.storage.cached import CachedStore
from anamnesis.storage.folder import translate_os_errors
from anamnesis.storage.store import Store, open_store

UNSIGNED = SigningSettings()


def open_registry(url: str, settings: SigningSettings = UNSIGNED) -> Store:
    """Opens a registry for a run.

    Args:
        url: of the registry.
        settings: how its records are signed.

    Raises:
        InputError: there is no private key at the place that the settings name.
        IntegrityError: records are signed, and the registry has no identity.
    """
    store = sign_with(CachedStore(open_store(url)), settings)
    if settings.public_keys and read_identity(store) is None:
        raise IntegrityError(
            f"{store.url}: {IDENTITY_KEY} is missing, so no record can be signed or verified; restore it from a backup"
        )
    return store


def sign_with(store: Store, settings: SigningSettings) -> Store:
    """Returns the registry in ``store`` with the keys of ``settings``. Without an identity nothing is signed."""
    identity = read_identity(store)
    if identity is None and not settings.public_keys:
        return store
    key = read_private_key(settings.private_key) if settings.private_key and identity else ""
    signer = make_signer(settings.role, key) if key else None
    return RegistryStore(store, Signing(identity.digest if identity else "", signer, settings.public_keys))


def read_private_key(reference: str, create: bool = False, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the private key at ``file:///absolute/path`` or ``env:NAME``.

    Args:
        reference: where the key is.
        create: whether to create a key when the file does not exist. Concurrent callers get the same key.
        environment: the environment for ``env:NAME``.

    Raises:
        InputError: there is no key; the message does not show it.
    """
    scheme, _, place = reference.partition(":")
    if scheme == "env":
        key = environment.get(place, "")
    else:
        path = Path(unquote(place.removeprefix("//")))
        if create and not path.exists():
            with translate_os_errors(path):
                _create_key_file(path)
        key = path.read_text(encoding="ascii", errors="replace") if path.is_file() else ""
    if not key.strip():
        raise InputError(
            f"signing key {reference!r}: the file or the variable is missing or empty; mount the private key there. To "
            "make a pair, run: anamnesis key signing"
        )
    return key.strip()


def _create_key_file(path: Path) -> None:
    """Writes a key atomically, readable for its owner only; the first writer wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new_private_key() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first; its key counts
    finally:
        temporary.unlink()
