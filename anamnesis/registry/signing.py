"""Signs records and verifies signatures, with Ed25519. A signature counts in one registry only. Pure."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, TypeVar

from anamnesis.records import (
    IntegrityError,
    LogEntry,
    PublicKey,
    RefusedError,
    Signature,
    SignerRole,
    canonical_json,
    encode,
)
from anamnesis.records.signature import KEY_BYTES, decode_key, decode_public_key

T = TypeVar("T")

_LOG_ROLES: Final = (SignerRole.OPERATOR, SignerRole.LOCAL)
_RUN_ROLES: Final = (SignerRole.RUN, SignerRole.LOCAL)


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key.

    Attributes:
        role: what it may sign.
        seed: the 32 bytes of the private key.
    """

    role: SignerRole
    seed: bytes = field(repr=False)

    @property
    def public_key(self) -> str:
        """The public key, base64."""
        return base64.b64encode(self._private_key().public_key().public_bytes_raw()).decode()

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the public key."""
        return PublicKey("", self.role, self.public_key).fingerprint

    def sign(self, record: T, registry: str) -> T:
        """Returns the record, which has a field ``signature``, with the signature for one registry."""
        content = _signed_content(record, registry, self.fingerprint, self.role)
        value = base64.b64encode(self._private_key().sign(content)).decode()
        return _with_signature(record, Signature(self.fingerprint, self.role, value))

    def _private_key(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # a slow import

        return Ed25519PrivateKey.from_private_bytes(self.seed)


def new_private_key() -> str:
    """Returns a new private key, base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def make_signer(role: SignerRole, private_key: str) -> Signer:
    """Returns the signer with a private key in base64.

    Raises:
        InputError: the text is not a key; the message does not show it.
    """
    return Signer(role, decode_key(private_key))


@dataclass(frozen=True, slots=True)
class Signing:
    """How records of one registry are signed and verified. The default: records are unsigned.

    Attributes:
        registry: digest of the registry's identity.
        signer: signs what this process writes; none writes unsigned records.
        public_keys: whose signatures count; empty accepts records without a signature.
    """

    registry: str = ""
    signer: Signer | None = None
    public_keys: tuple[PublicKey, ...] = ()

    def sign(self, record: T) -> T:
        """Returns the record with this process's signature.

        Raises:
            RefusedError: the record must be signed, and this process has no key for it.
        """
        if self.signer is None and not self.public_keys:
            return record
        signed_record = self.signer.sign(record, self.registry) if self.signer else record
        if problem := self.problem_of(signed_record):
            raise RefusedError(
                f"{type(record).__name__} not written: {problem}. This registry accepts signed records only; use a "
                f"private key whose public key spec.registry.signing.publicKeys lists with the role "
                f"{' or '.join(_roles_for(record))}"
            )
        return signed_record

    def check(self, record: T, location: str) -> T:
        """Returns the record.

        Raises:
            IntegrityError: its signature does not count.
        """
        if problem := self.problem_of(record):
            raise IntegrityError(
                f"{location}: {problem}: somebody wrote it without a key of spec.registry.signing.publicKeys. Find out "
                "who can write to the registry, delete the object, then start the update or evaluation again"
            )
        return record

    def is_signed(self, record: object) -> bool:
        """Returns whether the signature of a record counts, or none is needed."""
        return not self.problem_of(record)

    def problem_of(self, record: object) -> str:
        """Returns why the signature of a record does not count; empty where it counts, or none is needed."""
        if not self.public_keys:
            return ""
        signature: Signature | None = getattr(record, "signature")  # noqa: B009
        if signature is None:
            return "it has no signature"
        public_key = self._key_by_fingerprint().get(signature.key)
        if public_key is None:
            return f"the key {signature.key[:19]} that signed it is not listed"
        if public_key.role is not signature.role or public_key.role not in _roles_for(record):
            return f"the key {public_key.name} has the role {public_key.role}, which may not sign it"
        if public_key.last_entry is not None and isinstance(record, LogEntry) and record.number > public_key.last_entry:
            return f"the key {public_key.name} was valid until log entry {public_key.last_entry}"
        return "" if _is_valid(record, signature, self.registry, public_key) else _MISMATCH

    def _key_by_fingerprint(self) -> Mapping[str, PublicKey]:
        return {public_key.fingerprint: public_key for public_key in self.public_keys}


_MISMATCH = "its signature does not match its content and this registry"


def _roles_for(record: object) -> tuple[SignerRole, ...]:
    return _LOG_ROLES if isinstance(record, LogEntry) else _RUN_ROLES


def _is_valid(record: object, signature: Signature, registry: str, public_key: PublicKey) -> bool:
    return _verify(public_key.key, signature.value, _signed_content(record, registry, signature.key, signature.role))


@lru_cache(maxsize=4096)
def _verify(public_key: str, value: str, content: bytes) -> bool:
    """Cached, because an operator reads the same records at every reconcile."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        signature = base64.b64decode(value, validate=True)
        Ed25519PublicKey.from_public_bytes(decode_public_key(public_key)).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_content(record: object, registry: str, key: str, role: SignerRole) -> bytes:
    return canonical_json(
        {
            "kind": type(record).__name__,
            "registry": registry,
            "key": key,
            "role": role.value,
            "record": encode(_with_signature(record, None)),
        }
    )


def _with_signature(record: T, signature: Signature | None) -> T:
    return replace(record, signature=signature)  # type: ignore[type-var]
