"""Features of a site's images in the scratch folder, beside its prepared arrays, found by the digest of each image.

Features are derived from patients' images, so they are kept where these are, and removed with them. Each pass over a
site's images writes those that were missing as one more entry, a *part*. A row counts only where its checksum is right,
and a part only after one of its rows, computed again, had the same bits: another processor may round otherwise. So
nothing that happens to the files changes a result.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.records import InputError, digest_json
from anamnesis.storage.scratch import EntryLease, EntryName, Scratch
from anamnesis.training.precision import Precision

SCHEMA = 1
"""A new number for every change of how features are computed: those of an earlier one are then not used."""
PART_BYTES = 64 << 20
"""New features in memory; beyond, they are written as a part."""
KEYS_FILE, FEATURES_FILE, DIGEST_BYTES = "features.keys", "features.array", 32


@dataclass(frozen=True, slots=True)
class FeatureFolder:
    """Where the features of the images of a site are kept.

    Attributes:
        scratch: the scratch folder.
        owner: URL of the site's own store.
        generation: of the site's entries, see ``EntryName``.
        images: folder of the prepared images. Where it is removed during an update, as after a withdrawal, no features
            are written any more.
    """

    scratch: Scratch
    owner: str
    generation: str
    images: Path

    def part_name(self, space: str, number: int) -> EntryName:
        """Returns the name of a part of a space."""
        return EntryName(self.owner, self.generation, digest_json({"features": space, "part": number}))


@contextmanager
def open_feature_cache(folder: FeatureFolder | None) -> Iterator[FeatureCache | None]:
    """Yields the cache of a folder, and writes what is new at the end; without a folder, none."""
    if folder is None:
        yield None
        return
    cache = _FolderCache(folder)
    yield cache
    for space in cache.spaces.values():
        space.write()


class _FolderCache:
    """The ``FeatureCache`` of a folder.

    A GPU computes a batch as one, so that its bits depend on the other images, and about as fast as a processor
    computes digests: there, nothing is kept.
    """

    def __init__(self, folder: FeatureFolder) -> None:
        self.folder = folder
        self.spaces: dict[str, _Space] = {}

    def __call__(self, space: str, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        if images.device.type != "cpu":
            return compute(images)
        precision = Precision(images.device, False, torch.channels_last, threads=torch.get_num_threads())
        name = digest_json({"schema": SCHEMA, "space": space, "environment": precision.environment()})
        if name not in self.spaces:
            self.spaces[name] = _Space(self.folder, name)
        return self.spaces[name].features_of(images, compute)


class _FeaturePart:
    """A written part. Its rows are read, not mapped: a file that somebody shortens meanwhile does no harm.

    Attributes:
        keys: for each row the digest of its image, and the checksum of this and of its features; empty where a file is
            missing.
        is_tested: whether a row of it was computed again.
    """

    def __init__(self, lease: EntryLease) -> None:
        """Opens the files of an entry, and keeps its lease."""
        self._lease, self._row_bytes = lease, 0
        self._file: BinaryIO = BytesIO()
        self.keys: list[bytes] = []
        self.is_tested = False
        with suppress(OSError):
            keys = (lease.folder / KEYS_FILE).read_bytes()
            self._file = (lease.folder / FEATURES_FILE).open("rb")
            self.keys = [keys[start : start + 2 * DIGEST_BYTES] for start in range(0, len(keys), 2 * DIGEST_BYTES)]
            self._row_bytes = os.fstat(self._file.fileno()).st_size // max(len(self.keys), 1)

    def places(self) -> dict[bytes, tuple["_FeaturePart", int]]:
        """Returns the place of each image, by its digest."""
        return {key[:DIGEST_BYTES]: (self, row) for row, key in enumerate(self.keys)}

    def read(self, row: int) -> Tensor | None:
        """Returns the features [D] of a row; none where they are damaged."""
        key, data = self.keys[row], b""
        with suppress(OSError):
            self._file.seek(row * self._row_bytes)
            data = self._file.read(self._row_bytes)
        if key != _key_of(key[:DIGEST_BYTES], data):
            return None
        return torch.frombuffer(bytearray(data), dtype=torch.float32)


@dataclass(slots=True)
class _Space:
    """The features of one space.

    Attributes:
        folder: where the parts are.
        name: digest of the space, with processor, torch and number of threads.
        parts: the parts that are open.
        places: digest of an image -> part and row.
        fresh: digest of an image -> features [D] that are not written yet.
    """

    folder: FeatureFolder
    name: str
    parts: list[_FeaturePart] = field(default_factory=list)
    places: dict[bytes, tuple[_FeaturePart, int]] = field(default_factory=dict)
    fresh: dict[bytes, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open_parts()

    def features_of(self, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns the features [N, D] of images [N, C, *sides]."""
        digests = [_image_digest(image) for image in images]
        self._test_parts(digests, images, compute)
        features = {digest: self._find(digest) for digest in digests}
        missing = {digest: row for row, digest in enumerate(digests) if features[digest] is None}
        if missing:
            computed = dict(zip(missing, compute(images[list(missing.values())]), strict=True))
            features |= computed
            self.fresh |= computed
            if sum(map(_bytes_of, self.fresh.values())) > PART_BYTES:
                self.write()
        return torch.stack([row for digest in digests if (row := features[digest]) is not None])

    def write(self) -> None:
        """Writes the new features as one more part."""
        rows, self.fresh = self.fresh, {}
        if not rows or not self.folder.images.exists():
            return
        self._open_parts()  # another process may have written some meanwhile
        fresh = {digest: row.numpy().tobytes() for digest, row in rows.items() if digest not in self.places}
        if not fresh:
            return
        keys = b"".join(_key_of(digest, row) for digest, row in fresh.items())
        files = {KEYS_FILE: keys, FEATURES_FILE: b"".join(fresh.values())}
        name = self.folder.part_name(self.name, len(self.parts))
        sizes = {file: len(data) for file, data in files.items()}
        # A full or broken disk costs time later, and no result.
        with suppress(InputError, OSError), self.folder.scratch.write_entry(name, sizes) as entry_folder:
            for file, data in files.items():
                with (entry_folder / file).open("r+b") as opened:
                    opened.write(data)
        self._open_parts()

    def _open_parts(self) -> None:
        scratch = self.folder.scratch
        with suppress(InputError):  # a part that cannot be opened counts as none
            while lease := scratch.open_entry(self.folder.part_name(self.name, len(self.parts))):
                self.parts.append(_FeaturePart(lease))
                self.places |= self.parts[-1].places()  # where a row is in two, that of the earlier part was unusable

    def _find(self, digest: bytes) -> Tensor | None:
        if digest in self.fresh:
            return self.fresh[digest]
        part, row = self.places.get(digest, (None, 0))
        features = part.read(row) if part else None
        if features is None:
            self.places.pop(digest, None)  # a damaged row is written again
        return features

    def _test_parts(self, digests: list[bytes], images: Tensor, compute: Callable[[Tensor], Tensor]) -> None:
        """Computes the first image of each part again; drops the part where the bits differ."""
        for image, digest in zip(images, digests, strict=True):
            while (place := self.places.get(digest)) and not place[0].is_tested:
                part, row = place
                if (stored := part.read(row)) is None:
                    break
                part.is_tested = True
                if not torch.equal(stored, compute(image[None])[0]):
                    part.keys = part.keys[:0]
                    self.places = {}
                    for other in self.parts:
                        self.places |= other.places()


def _image_digest(image: Tensor) -> bytes:
    pixels = image.float().contiguous().numpy()
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return digest.digest()


def _key_of(digest: bytes, features: bytes) -> bytes:
    return digest + hashlib.sha256(digest + features).digest()


def _bytes_of(features: Tensor) -> int:
    return features.numel() * features.element_size()
