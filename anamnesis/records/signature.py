"""Signatures of records: who signed, and the public keys that count."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from anamnesis.records.digests import digest_bytes
from anamnesis.records.errors import InputError

KEY_BYTES = 32
_SMALL_ORDER_KEYS = frozenset(
    bytes.fromhex(key)
    for key in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Points of small order, without their sign bit: signatures for them are made without a private key."""


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
        return digest_bytes(decode_public_key(self.key))


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


def decode_public_key(text: str) -> bytes:
    """Returns the 32 bytes of a public key in base64.

    Raises:
        InputError: ``text`` has another form, or anybody can sign for this key.
    """
    key = decode_key(text)
    if key[:-1] + bytes([key[-1] & 0x7F]) in _SMALL_ORDER_KEYS:
        raise InputError(
            f"public key {text.strip()}: anybody can sign for it, without a private key; make a pair with "
            "'anamnesis key signing'"
        )
    return key
