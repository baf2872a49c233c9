"""Samples in a store of their own, without an ingest."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from anamnesis.records import Split, Target, canonical_json, digest_json, encode
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord
from anamnesis.snapshots.shards import ShardWriter, content_digest
from anamnesis.snapshots.withdrawals import Withdrawal
from anamnesis.storage.scratch import EntryName, Scratch
from anamnesis.storage.store import open_store


def prepared_images(store_url: str) -> Callable[[], bool]:
    """Writes an entry of a store to the scratch folder, and returns a function that says whether it is still there."""
    scratch, name = Scratch.of_environment(os.environ), EntryName(store_url, "", digest_json("images"))
    with scratch.write_entry(name, {"0.array": 8}):
        pass
    lease = scratch.open_entry(name)
    assert lease
    return lease.folder.exists


class SampleStore:
    """A store whose samples can be opened at once."""

    def __init__(self, folder: Path, modality: str = "DX") -> None:
        self.store = open_store(folder.as_uri())
        self.modality = modality
        self.digest = f"sha256:{0:064}"
        self.records: list[SampleRecord] = []

    def add(self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray] = ()) -> None:
        """Writes a shard of images [Y, X], with the classes 0 and 1 in turn, or with masks."""
        writer = ShardWriter(self.store)
        for row, image in enumerate(images):
            number = len(self.records)
            arrays = {self.modality: image, **({"mask": masks[row]} if masks else {})}
            contents = {name: content_digest(array) for name, array in arrays.items()}
            for name, array in arrays.items():
                writer.add(contents[name], array)
            records = {
                name: ImageRecord(contents[name], array.dtype.name, array.shape, (1.0, 1.0), "YX")
                for name, array in arrays.items()
            }
            target = Target(mask="mask") if masks else Target(index=number % 2)
            self.records.append(SampleRecord(f"s{number:07}", f"p{number}", f"t{number}", Split.TRAIN, records, target))
        writer.flush()

    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Writes the record of a withdrawal."""
        self.store.put(f"withdrawals/{withdrawal.number:020d}.json", canonical_json(encode(withdrawal)))

    def open(self) -> OpenedSamples:
        """Opens all samples."""
        return OpenedSamples(self.store, self.digest, tuple(self.records))
