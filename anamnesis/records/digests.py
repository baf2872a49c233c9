"""Digests: SHA-256 of bytes or of canonical JSON, written ``sha256:<64 hex digits>``."""

import hashlib
import json
import re

from anamnesis.records.errors import InputError

DIGEST_PREFIX = "sha256:"
_DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")


def canonical_json(value: object) -> bytes:
    """Returns the canonical JSON of ``value``: sorted keys, no white space, UTF-8, no NaN.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_bytes(data: bytes | memoryview) -> str:
    """Returns ``sha256:`` and the hex digest of ``data``."""
    return DIGEST_PREFIX + hashlib.sha256(data).hexdigest()


def digest_json(value: object) -> str:
    """Returns the digest of the canonical JSON of ``value``."""
    return digest_bytes(canonical_json(value))


def digest_hex(digest: str) -> str:
    """Returns the 64 hex digits of a digest, for use in a path.

    Raises:
        InputError: ``digest`` is not a digest.
    """
    if not _DIGEST_PATTERN.fullmatch(digest):
        raise InputError(f"digest: expected 'sha256:<64 hex digits>', found {digest!r}")
    return digest.removeprefix(DIGEST_PREFIX)


def short_digest(digest: str | None) -> str:
    """Returns the first 12 hex digits of a digest, for people; ``-`` for none."""
    return digest.removeprefix(DIGEST_PREFIX)[:12] if digest else "-"
