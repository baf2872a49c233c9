"""Packs: the entries of a log again, a thousand in one object, so that a new process reads a long log in seconds.

The single entries are the truth, and a pack is a copy of them in their stored form. It proves itself: the entries of a
pack are a hash chain whose last digest is in the key, and the reader knows this digest from a single entry or from the
pack after it. So a forged or old pack is never believed, and a log without packs is only slower.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence

from anamnesis.records import AnamnesisError, IntegrityError, LogEntry, digest_hex
from anamnesis.records.digests import DIGEST_PREFIX
from anamnesis.registry.log_entries import StoredEntry, dump_entry, parse_chained_entry
from anamnesis.storage.store import MissingObjectError, Store

PACKS_PREFIX = "log_packs/"
PACK_SIZE = 1000
_SUFFIX = ".jsonl.gz"
_MAXIMUM_BYTES = 64 << 20
"""Of an unpacked pack; a longer one was not written by this program."""


def pack_key(last_number: int, last_digest: str) -> str:
    """Returns the key of the pack that ends with this entry."""
    return f"{PACKS_PREFIX}{last_number:020d}-{digest_hex(last_digest)}{_SUFFIX}"


def list_pack_ends(store: Store) -> tuple[int, ...]:
    """Returns the numbers of the last entries of all packs, without duplicates, in ascending order."""
    numbers = {number for info in store.list(PACKS_PREFIX) if (number := _last_number(info.key))}
    return tuple(sorted(numbers))


def list_packs(store: Store) -> tuple[tuple[int, str], ...]:
    """Returns number and digest of the last entry of each pack, as their keys say."""
    keys = (info.key for info in store.list(PACKS_PREFIX))
    return tuple((number, _digest_in(key)) for key in keys if (number := _last_number(key)))


def read_pack(store: Store, last_number: int, last_digest: str) -> tuple[StoredEntry, ...]:
    """Reads the pack that ends with an entry.

    Raises:
        MissingObjectError: there is no such pack.
        IntegrityError: its entries are not the chain that ends with ``last_digest``.
    """
    key = pack_key(last_number, last_digest)
    lines = _unpack(store.get(key), key).split(b"\n")
    if len(lines) != PACK_SIZE:
        raise _damaged_error(key, f"it has {len(lines)} lines")
    first_number = last_number - PACK_SIZE + 1
    try:
        items = tuple(parse_chained_entry(line, first_number + i) for i, line in enumerate(lines))
    except AnamnesisError as error:
        raise _damaged_error(key, str(error)) from None
    digests = [items[0].entry.previous_digest, *(item.digest for item in items)]
    if any(item.entry.previous_digest != digest for item, digest in zip(items, digests, strict=False)):
        raise _damaged_error(key, "its entries are not a chain")
    if digests[-1] != last_digest:
        raise _damaged_error(key, "it ends with another entry")
    return items


def write_pack(store: Store, entries: Sequence[LogEntry], last_digest: str) -> None:
    """Writes the pack of these entries unless it exists. Every process writes the same entries under this key."""
    data = b"\n".join(map(dump_entry, entries))
    if len(data) <= _MAXIMUM_BYTES:
        store.put_if_absent(pack_key(entries[-1].number, last_digest), gzip.compress(data, mtime=0))


def check_packs(store: Store, digests: Mapping[int, str]) -> Iterable[str]:
    """Yields a sentence for each pack that differs from the log.

    Args:
        store: of the registry.
        digests: number -> digest, of the single entries that end a pack.
    """
    for number, digest in list_packs(store):
        key = pack_key(number, digest)
        if digests.get(number) != digest:
            yield f"{key}: no entry of the log is its last one, so no command uses it; delete the object"
            continue
        try:
            read_pack(store, number, digest)
        except MissingObjectError:
            continue  # deleted since the listing
        except IntegrityError as error:
            yield str(error)


def _last_number(key: str) -> int:
    """Returns the number in the key of a pack; 0 for another key."""
    number = key.removeprefix(PACKS_PREFIX).partition("-")[0]
    digest = _digest_in(key)
    is_pack = number.isascii() and number.isdigit() and len(digest) == len(DIGEST_PREFIX) + 64
    return int(number) if is_pack and key.endswith(_SUFFIX) and int(number) % PACK_SIZE == 0 else 0


def _digest_in(key: str) -> str:
    return DIGEST_PREFIX + key.partition("-")[2].removesuffix(_SUFFIX)


def _unpack(data: bytes, key: str) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)  # gzip
    try:
        unpacked = decompressor.decompress(data, _MAXIMUM_BYTES)
    except zlib.error:
        raise _damaged_error(key, "it is not a gzip file") from None
    if not decompressor.eof:
        raise _damaged_error(key, "it was cut, or is too long")
    return unpacked


def _damaged_error(key: str, problem: str) -> IntegrityError:
    return IntegrityError(
        f"{key}: this copy of log entries was changed ({problem}); delete the object: the single entries are read "
        "instead, and the copy is written again"
    )
