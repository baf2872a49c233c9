"""Versions and their blobs, each named by the digest of its content."""

from collections.abc import Mapping

from anamnesis.records import InputError, IntegrityError, Version, digest_bytes, digest_hex
from anamnesis.records.digests import DIGEST_PREFIX
from anamnesis.storage.documents import dump_record, load_record
from anamnesis.storage.store import MissingObjectError, Store


def blob_key(digest: str) -> str:
    """Returns where a blob lies."""
    return f"blobs/{digest_hex(digest)}"


def version_key(digest: str) -> str:
    """Returns where a version's record lies."""
    return f"versions/{digest_hex(digest)}/version.json"


def write_version(store: Store, version: Version, blobs: Mapping[str, bytes]) -> str:
    """Stores a version: first its parts, then, when all of them are there, its record.

    Writing it again is harmless.

    Args:
        store: the registry's.
        version: names every part.
        blobs: the bytes of parts by name; those of another stored version may be left out.

    Returns:
        The version's digest.

    Raises:
        InputError: a blob is not what the version says, or a part is neither given nor stored.
        IntegrityError: other bytes lie where the record belongs.
    """
    for name, data in blobs.items():
        if version.parts.get(name) != (actual_digest := digest_bytes(data)):
            raise InputError(
                f"part {name!r}: the version names {version.parts.get(name)}, the bytes have {actual_digest}"
            )
    for name, digest in version.parts.items():
        if name in blobs:
            # Written even where it is there: that heals a damaged copy, and its new date keeps `prune` away from it.
            store.put(blob_key(digest), blobs[name])
        elif not store.exists(blob_key(digest)):
            raise InputError(f"part {name!r}: its bytes were not given, and {store.url} has no blob {digest}")
    key = version_key(version.digest)
    if not store.put_if_absent(key, dump_record(version)):
        raise IntegrityError(f"{key}: other bytes lie here; run 'anamnesis registry verify'")
    return version.digest


def read_version(store: Store, digest: str) -> Version:
    """Reads a version's record.

    Raises:
        MissingError: there is no such version.
        IntegrityError: its bytes do not have its digest.
    """
    key = version_key(digest)
    try:
        data = store.get(key)
    except MissingObjectError:
        raise MissingObjectError(f"{store.url} has no version {digest}") from None
    version = load_record(Version, data, key)
    if version.digest != digest:
        raise IntegrityError(f"{key}: has the digest {version.digest}; its bytes were changed")
    return version


def read_part(store: Store, version: Version, part: str) -> bytes:
    """Reads one part of a version.

    Raises:
        InputError: the version has no such part.
        MissingError: its blob is gone.
        IntegrityError: its bytes do not have its digest.
    """
    if part not in version.parts:
        raise InputError(f"version {version.digest} has no part {part!r}; it has {', '.join(sorted(version.parts))}")
    key = blob_key(version.parts[part])
    data = store.get(key)
    if (actual_digest := digest_bytes(data)) != version.parts[part]:
        raise IntegrityError(f"{key} (part {part!r} of version {version.digest}): has the digest {actual_digest}")
    return data


def list_versions(store: Store) -> list[str]:
    """Returns the digests of all versions, sorted."""
    keys = (info.key.split("/") for info in store.list("versions/"))
    return [DIGEST_PREFIX + parts[1] for parts in keys if parts[2:] == ["version.json"]]
