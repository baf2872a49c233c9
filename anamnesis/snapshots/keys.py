"""Split keys: one of the network, and one of each site, which determines split and pseudonym of its patients."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from anamnesis.records import InputError, Split, digest_bytes
from anamnesis.storage.folder import translate_os_errors

_MINIMUM_LENGTH = 32


def read_split_key(reference: str, create: bool = False, environment: Mapping[str, str] = os.environ) -> bytes:
    """Returns the split key at a reference.

    Args:
        reference: ``file:///absolute/path`` or ``env:NAME``; the key has 32 characters or more.
        create: whether to create a random key when the file does not exist. Concurrent callers get the same key.
        environment: the environment for ``env:NAME``.

    Raises:
        InputError: there is no key, or it is too short for a secret.
    """
    scheme, _, key_location = reference.partition(":")
    if scheme == "env" and key_location:
        raw_key = environment.get(key_location, "").encode()
    elif scheme == "file" and key_location.startswith("///"):
        path = Path(unquote(key_location.removeprefix("//")))
        if create and not path.exists():
            _create_key_file(path, secrets.token_hex(32).encode())
        raw_key = path.read_bytes() if path.is_file() else b""
    else:
        raise InputError(f"split key {reference!r}: expected file:///absolute/path or env:NAME; correct the reference")
    key = raw_key.strip()
    if not key:
        raise InputError(
            f"split key {reference!r}: the file or the variable is missing or empty; mount the key there. "
            "Sites that were ingested have theirs in their stores; for a network without a site, make a key with "
            "'openssl rand -hex 32'"
        )
    if len(key) < _MINIMUM_LENGTH:
        raise InputError(
            f"split key {reference!r}: expected {_MINIMUM_LENGTH} characters or more, found {len(key)}; make one with "
            "'openssl rand -hex 32' and keep it, because another key would put test patients into training"
        )
    return key


def write_key_file(path: Path, key: bytes) -> None:
    """Writes a key to a new file that only its owner can read; atomic.

    Raises:
        InputError: the file exists and has another key.
    """
    if not _create_key_file(path, key) and path.read_bytes().strip() != key:
        raise InputError(f"{path}: the file exists and has another content; name another file")


def _create_key_file(path: Path, key: bytes) -> bool:
    """Writes a key atomically; returns whether this process was the first writer."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False  # another process was first; its key counts
    finally:
        temporary.unlink()
    return True


def key_fingerprint(key: bytes) -> str:
    """Returns the fingerprint of the key, which does not reveal it."""
    return digest_bytes(_hmac_digest(key, "fingerprint"))


def derive_site_key(network_key: bytes, site: str) -> bytes:
    """Returns the key of a site, as text; it reveals neither the network key nor the key of another site."""
    return _hmac_digest(network_key, "site", site).hex().encode()


def split_by_key(key: bytes, patient: str, test_fraction: float) -> Split:
    """Returns TRAIN or TEST; it is the same in every ingest with the same key."""
    return Split.TEST if draw_patient(key, "split", patient) < test_fraction else Split.TRAIN


def draw_patient(key: bytes, purpose: str, patient: str) -> float:
    """Returns a number from 0 to below 1 that only the key, the purpose and the patient determine."""
    return (int.from_bytes(_hmac_digest(key, purpose, patient)[:8]) >> 11) / 2**53


def pseudonymise_patient(key: bytes, site: str, patient: str) -> str:
    """Returns the pseudonym of a patient, which differs from site to site."""
    return _hmac_digest(key, "patient", site, patient).hex()


def pseudonymise_study(key: bytes, site: str, patient: str, study: str) -> str:
    """Returns the pseudonym of a study."""
    return _hmac_digest(key, "study", site, patient, study).hex()


def _hmac_digest(key: bytes, *parts: str) -> bytes:
    """Returns the HMAC-SHA256 over the parts with their lengths, so that different parts give different texts."""
    text = b"".join(len(data := part.encode()).to_bytes(8) + data for part in parts)
    return hmac.new(key, text, hashlib.sha256).digest()
