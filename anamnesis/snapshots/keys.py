"""The model's split key: who is tested, and under which name a patient is stored."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from anamnesis.records import InputError, Split, digest_bytes

_MINIMUM_LENGTH = 32


def read_split_key(reference: str, create: bool = False, environment: Mapping[str, str] = os.environ) -> bytes:
    """Returns the key that a reference points to.

    Args:
        reference: ``file:///absolute/path`` or ``env:NAME``; what stands there is the key, 32 characters or more.
        create: make a random key where the file does not exist. Of several that try, all get the same one.
        environment: where ``env:NAME`` looks.

    Raises:
        InputError: there is no key, or it is too short to be a secret.
    """
    scheme, _, key_location = reference.partition(":")
    if scheme == "env" and key_location:
        raw_key = environment.get(key_location, "").encode()
    elif scheme == "file" and key_location.startswith("///"):
        path = Path(unquote(key_location.removeprefix("//")))
        if create and not path.exists():
            _create_key_file(path)
        raw_key = path.read_bytes() if path.is_file() else b""
    else:
        raise InputError(f"split key {reference!r}: expected file:///absolute/path or env:NAME")
    if len(key := raw_key.strip()) < _MINIMUM_LENGTH:
        raise InputError(
            f"split key {reference!r}: expected {_MINIMUM_LENGTH} characters or more, found {len(key)}; make one with "
            "'openssl rand -hex 32' and keep it: another key would put test patients into training"
        )
    return key


def _create_key_file(path: Path) -> None:
    """Writes a key that appears whole or not at all; the first writer wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        temporary.unlink()


def key_fingerprint(key: bytes) -> str:
    """Returns a name of the key that does not give it away."""
    return digest_bytes(_hmac_digest(key, "fingerprint"))


def split_by_key(key: bytes, patient: str, test_fraction: float) -> Split:
    """Returns TRAIN or TEST: equal on every site of the model, whatever else is ingested."""
    return (
        Split.TEST if int.from_bytes(_hmac_digest(key, "split", patient)[:8]) < test_fraction * 2**64 else Split.TRAIN
    )


def pseudonymise_patient(key: bytes, site: str, patient: str) -> str:
    """Returns the name under which a patient is stored; it cannot be joined across sites."""
    return _hmac_digest(key, "patient", site, patient).hex()


def pseudonymise_study(key: bytes, site: str, patient: str, study: str) -> str:
    """Returns the name under which a study is stored."""
    return _hmac_digest(key, "study", site, patient, study).hex()


def _hmac_digest(key: bytes, *parts: str) -> bytes:
    """HMAC-SHA256 over parts with their lengths, so that no two lists of parts give one text."""
    text = b"".join(len(data := part.encode()).to_bytes(8) + data for part in parts)
    return hmac.new(key, text, hashlib.sha256).digest()
