"""Generated images: small ones as one file, large ones in a store, as an ingest writes them."""

import os
from pathlib import Path

import numpy as np

from anamnesis.records import Split, Target, Task, TaskType
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.manifest import (
    ImageRecord,
    SampleRecord,
    SnapshotManifest,
    read_snapshot_manifest,
    write_snapshot_manifest,
)
from anamnesis.snapshots.shards import ShardWriter, content_digest
from anamnesis.storage.store import open_store

SIDE, XRAY_SIDE = 64, 2000
NETWORK_RATE = "the network alone, images a second"
"""Column of the results."""
_CHUNK = 10_000


def write_images(path: Path, count: int) -> None:
    """Writes [count, 1, 64, 64] uint8: noise, and a bar whose place is the class, 0 and 1 in turn."""
    noise = np.random.default_rng(0).integers(0, 128, (_CHUNK, SIDE, SIDE), dtype=np.uint8)
    noise[::2, 8:20] += 100
    noise[1::2, 36:48] += 100
    with path.open("wb") as file:
        for start in range(0, count, _CHUNK):
            images = np.roll(noise, start // _CHUNK, axis=2)[: count - start]
            file.write(images.tobytes())
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # else it would be in memory, and of this process


def write_xrays(folder: Path, count: int) -> None:
    """Writes X-rays [2000, 2000] uint16 to the shards of a store, and a snapshot of them."""
    store, generator, records = open_store(folder.as_uri()), np.random.default_rng(0), []
    writer = ShardWriter(store)
    noise = generator.integers(0, 4096, (XRAY_SIDE, XRAY_SIDE)).astype(np.uint16)
    for number in range(count):
        pixels = np.roll(noise, number * 7 + 1, axis=number % 2)
        content = content_digest(pixels)
        writer.add(content, pixels)
        image = ImageRecord(content, "uint16", pixels.shape, (1.0, 1.0), "YX")
        records.append(
            SampleRecord(f"s{number:07}", f"p{number}", f"t{number}", Split.TRAIN, {"DX": image}, Target(number % 2))
        )
    writer.flush()
    task = Task("bars", TaskType.CLASSIFICATION, ("top", "middle"))
    manifest = SnapshotManifest("xrays", task, ("DX",), "", "", tuple(records))
    (folder / "snapshot").write_text(write_snapshot_manifest(store, manifest))


def read_xrays(folder: Path) -> OpenedSamples:
    """Returns the samples of the X-rays."""
    store, snapshot = open_store(folder.as_uri()), (folder / "snapshot").read_text()
    return OpenedSamples(store, snapshot, read_snapshot_manifest(store, snapshot).samples)
