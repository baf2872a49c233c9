"""The small versions of a site's images, in the site's own store: each is computed once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from anamnesis.records import IntegrityError, digest_bytes, digest_hex
from anamnesis.snapshots.manifest import ImageRecord
from anamnesis.snapshots.shards import ShardReader
from anamnesis.snapshots.small_versions import Floats, small_versions, to_grey_plane
from anamnesis.storage.store import Store

PREFIX = "smallversions/"
_BATCH = 256


def read_small_versions(store: Store, images: Sequence[ImageRecord]) -> Floats:
    """Returns the small versions [N, D] of stored images; computes and stores those that the store does not have.

    Raises:
        IntegrityError: an image or a stored small version was changed.
    """
    images_by_content = {image.content: image for image in images}
    vectors = _read_stored(store)
    if missing_images := [image for content, image in images_by_content.items() if content not in vectors]:
        new_vectors = _compute(store, missing_images)
        _write(store, new_vectors)
        vectors |= new_vectors
    return np.stack([vectors[image.content] for image in images])


def _compute(store: Store, images: Sequence[ImageRecord]) -> dict[str, Floats]:
    groups: dict[tuple[object, ...], list[ImageRecord]] = defaultdict(list)
    for image in images:
        groups[image.shape, image.axes, image.slice_axis].append(image)
    vectors: dict[str, Floats] = {}
    with ShardReader(store) as shards:
        for group in groups.values():
            for first in range(0, len(group), _BATCH):
                batch = group[first : first + _BATCH]
                planes = [to_grey_plane(shards.read(item.content), item.axes, item.slice_axis) for item in batch]
                contents = [item.content for item in batch]
                vectors |= dict(zip(contents, small_versions(np.stack(planes)), strict=True))
    return vectors


def _read_stored(store: Store) -> dict[str, Floats]:
    vectors: dict[str, Floats] = {}
    for info in store.list(PREFIX):
        if info.key.endswith(".safetensors"):
            try:
                tensors = load(store.get(info.key))
                names = [f"sha256:{bytes(row).hex()}" for row in tensors["contents"]]
                vectors |= dict(zip(names, tensors["vectors"], strict=True))
            except (SafetensorError, LookupError, ValueError) as error:
                raise IntegrityError(
                    f"{store.url}/{info.key}: the small versions are unreadable ({error}); delete the object, the next "
                    "ingest computes them again"
                ) from error
    return vectors


def _write(store: Store, vectors: Mapping[str, Floats]) -> None:
    contents = sorted(vectors)
    digests = np.array([list(bytes.fromhex(digest_hex(content))) for content in contents], np.uint8)
    data = save({"contents": digests, "vectors": np.stack([vectors[content] for content in contents])})
    store.put_if_absent(f"{PREFIX}{digest_hex(digest_bytes(data))}.safetensors", data)
