"""Weights files that a person put into a registry: ``weights/<digest>/<name>``, for models to start from."""

from collections.abc import Iterator

from anamnesis.records import digest_bytes, digest_hex
from anamnesis.storage.store import Store, child_url

WEIGHTS_FILES = "weights/"


def write_weights_file(store: Store, digest: str, name: str, data: bytes) -> str:
    """Stores a file below its digest and returns its URL."""
    parts = (WEIGHTS_FILES.rstrip("/"), digest_hex(digest), name)
    store.put("/".join(parts), data)
    return child_url(store.url, *parts)


def check_weights_files(store: Store) -> Iterator[str]:
    """Yields one sentence for each file whose bytes have another digest than its key."""
    for info in store.list(WEIGHTS_FILES):
        digest = "sha256:" + info.key.removeprefix(WEIGHTS_FILES).partition("/")[0]
        if (actual_digest := digest_bytes(store.get(info.key))) != digest:
            yield (
                f"{info.key}: its bytes were changed, their digest is {actual_digest}; copy the file again with "
                "'anamnesis backbones import'"
            )
