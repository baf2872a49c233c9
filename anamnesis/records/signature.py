"""Signatures of records: who signed, and the public keys that count."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from anamnesis.records.digests import digest_bytes
from anamnesis.records.errors import InputError

KEY_BYTES = 32


class SignerRole(StrEnum):
    """The role of a signing key: it limits what the key may sign."""

    OPERATOR = "Operator"
    """Signs log entries."""
    RUN = "Run"
    """Signs what runs write: evaluations, update results, update records, scheduled evaluations."""
    LOCAL = "Local"
    """The key of one machine, for commands and runs on it; signs everything."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The Ed25519 signature of a record, over its other fields and the identity of its registry.

    Attributes:
        key: fingerprint of the public key.
        role: role of the key.
        value: 64 bytes, base64.
    """

    key: str
    role: SignerRole
    value: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key whose signatures count.

    Attributes:
        name: name for people.
        role: what it may sign.
        key: Ed25519 public key, 32 bytes in base64.
        last_entry: number of the last log entry that the key may have signed; none for a key in use.
    """

    name: str
    role: SignerRole
    key: str
    last_entry: int | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes."""
        return digest_bytes(decode_key(self.key))


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """How a run signs what it writes to the registry, and whose signatures count when it reads.

    Attributes:
        private_key: place of the run's private key, ``file:///...`` or ``env:NAME``; empty: records are unsigned.
        role: role of that key.
        public_keys: the keys whose signatures count; empty: records without a signature count.
    """

    private_key: str = ""
    role: SignerRole = SignerRole.RUN
    public_keys: tuple[PublicKey, ...] = ()


def decode_key(text: str) -> bytes:
    """Returns the 32 bytes of a key in base64; the error does not show the key.

    Raises:
        InputError: ``text`` has another form.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError("signing key: expected 32 bytes in base64; make a pair with 'anamnesis key signing'")
    return key
