"""Versions and their blobs; the key of each contains the digest of its content."""

from collections.abc import Mapping

from anamnesis.records import InputError, IntegrityError, Version, digest_bytes, digest_hex
from anamnesis.records.digests import DIGEST_PREFIX
from anamnesis.storage.documents import dump_record, load_record
from anamnesis.storage.store import MissingObjectError, Store


def blob_key(digest: str) -> str:
    """Returns the key of a blob."""
    return f"blobs/{digest_hex(digest)}"


def version_key(digest: str) -> str:
    """Returns the key of a version's record."""
    return f"versions/{digest_hex(digest)}/version.json"


def write_version(store: Store, version: Version, blobs: Mapping[str, bytes]) -> str:
    """Stores a version: first all its parts, then its record. A repeated call is safe.

    Args:
        store: store of the registry.
        version: the version, with the digest of every part.
        blobs: bytes of the parts by name; parts that are already stored may be left out.

    Returns:
        The digest of the version.

    Raises:
        InputError: a blob does not match the digest of its part, or a part is neither given nor stored.
        IntegrityError: different bytes are stored under the key of the record.
    """
    for name, data in blobs.items():
        if version.parts.get(name) != (actual_digest := digest_bytes(data)):
            raise InputError(
                f"part {name!r} of version {version.digest}: expected bytes with the digest "
                f"{version.parts.get(name)}, found {actual_digest}; "
                "this is a fault of the program: report it with the log"
            )
    for name, digest in version.parts.items():
        if name in blobs:
            # Written even if it exists: this repairs a damaged blob, and the new date protects it from ``prune``.
            store.put(blob_key(digest), blobs[name])
        elif not store.exists(blob_key(digest)):
            raise InputError(
                f"part {name!r} of version {version.digest}: {store.url} has no blob {digest}, and the program passed "
                "no bytes; this is a fault of the program: report it with the log"
            )
    key = version_key(version.digest)
    if not store.put_if_absent(key, dump_record(version)):
        raise IntegrityError(
            f"{key}: the stored bytes were changed; restore the object from a backup, then run "
            f"'anamnesis registry verify --registry {store.url}'"
        )
    return version.digest


def read_version(store: Store, digest: str) -> Version:
    """Reads a version's record.

    Raises:
        MissingObjectError: the version does not exist.
        IntegrityError: the bytes do not match the digest.
    """
    key = version_key(digest)
    try:
        data = store.get(key)
    except MissingObjectError:
        raise MissingObjectError(f"{store.url} has no version {digest}; check the digest and the registry") from None
    version = load_record(Version, data, key)
    if version.digest != digest:
        raise IntegrityError(
            f"{key}: its bytes were changed, their digest is {version.digest}; restore it from a backup"
        )
    return version


def read_part(store: Store, version: Version, part: str) -> bytes:
    """Reads one part of a version.

    Raises:
        InputError: the version has no part with this name.
        MissingObjectError: the blob does not exist.
        IntegrityError: the bytes do not match the digest.
    """
    if part not in version.parts:
        raise InputError(
            f"version {version.digest} has no part {part!r}, only {', '.join(sorted(version.parts))}; "
            "choose a version that this release wrote"
        )
    key = blob_key(version.parts[part])
    data = store.get(key)
    if (actual_digest := digest_bytes(data)) != version.parts[part]:
        raise IntegrityError(
            f"{key} (part {part!r} of version {version.digest}): its bytes were changed, their digest is "
            f"{actual_digest}; restore it from a backup"
        )
    return data


def list_versions(store: Store) -> list[str]:
    """Returns the digests of all versions, sorted."""
    keys = (info.key.split("/") for info in store.list("versions/"))
    return [DIGEST_PREFIX + parts[1] for parts in keys if parts[2:] == ["version.json"]]
