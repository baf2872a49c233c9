"""The maps of the frozen layers, computed once for all runs.

A file has the maps of a site's images and views; an image finds its maps by the digest of its pixels. They are what
the product's own frozen part gives, so a run with them learns what a run without them learns.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anamnesis.networks import Backbone
from anamnesis.training.split_arrays.rows import batches_of, to_unit
from benchmarks.sites224.prepared import digest_pixels

DIGEST_BYTES, BATCH = 20, 32
RECENT = 256
"""Computed maps that are kept, for images that return at once, such as stored prototypes."""


class FrozenMaps:
    """Takes the place of ``Backbone.frozen_maps``, also in copies of the backbone: their frozen layers are the same."""

    def __init__(self, backbone: Backbone, paths: Sequence[Path]) -> None:
        """Opens files of maps.

        Args:
            backbone: computes the maps of all other images; it never learns.
            paths: of the files; each has its digests beside it.
        """
        self._compute = backbone.frozen_maps
        self._computed: dict[bytes, Tensor] = {}
        self._places: dict[bytes, tuple[npt.NDArray[np.float32], int]] = {}
        for path in paths:
            maps = np.load(path, mmap_mode="r")
            for row, digest in enumerate(_read_digests(path)):
                self._places[digest] = (maps, row)

    def __deepcopy__(self, memo: Mapping[int, object]) -> "FrozenMaps":
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] in [0, 1] to frozen maps [N, F, h, w]."""
        digests = [digest_pixels(image) for image in images.detach().contiguous().numpy()]
        missing = [row for row, name in enumerate(digests) if name not in self._places and name not in self._computed]
        if missing:
            for row, maps in zip(missing, self._compute(images[missing]), strict=True):
                self._computed[digests[row]] = maps
        frozen_maps = torch.stack([self._find(digest) for digest in digests])
        while len(self._computed) > RECENT:
            del self._computed[next(iter(self._computed))]
        return frozen_maps.contiguous(memory_format=torch.channels_last)

    def _find(self, digest: bytes) -> Tensor:
        if digest in self._computed:
            return self._computed[digest]
        maps, row = self._places[digest]
        return torch.from_numpy(np.array(maps[row]))


def write_maps(backbone: Backbone, path: Path, arrays: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Writes the maps of images [N, C, H, W] to a file, unless it exists."""
    if path.is_file():
        return
    maps_by_digest: dict[bytes, npt.NDArray[np.float32]] = {}
    for array in arrays:
        for batch in batches_of(torch.from_numpy(np.array(array)), BATCH):
            images = to_unit(batch)
            for image, maps in zip(images.numpy(), backbone.frozen_maps(images), strict=True):
                maps_by_digest[digest_pixels(image)] = maps.numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npy")
    np.save(partial, np.stack(list(maps_by_digest.values())))
    path.with_suffix(".digests").write_bytes(b"".join(maps_by_digest))
    partial.replace(path)


def _read_digests(path: Path) -> list[bytes]:
    data = path.with_suffix(".digests").read_bytes()
    return [data[start : start + DIGEST_BYTES] for start in range(0, len(data), DIGEST_BYTES)]
