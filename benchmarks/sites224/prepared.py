"""Prepared arrays of a site: its images, and four augmented views of each training image.

The views are drawn once, with the product's augmentation: all methods, seeds and orders learn the same views, view v
in epoch v. So the layers that no run changes are computed once (``frozen_maps.py``).
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from anamnesis.records import NetworkSettings, Split, digest_json
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.training import RandomStreams, SplitFormat, open_split_arrays
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.data import number_patients
from anamnesis.training.intensity import resize_mask
from anamnesis.training.split_arrays.rows import to_unit
from anamnesis.training.split_arrays.writing import quantise
from benchmarks.sites224.sites import IngestedSite

VIEWS, VIEW_SEED, BATCH = 4, 0, 32
DEVELOPMENT_SHARE = 0.2
"""Share of the training patients that judge choices, where the product holds no validation patients out."""


@dataclass(frozen=True, slots=True)
class PreparedSplit:
    """The images of a split.

    Attributes:
        images: [N, C, H, W] uint8.
        labels: [N] index of the class in the site's task.
        patients: [N] number of the patient.
        masks: [N, H, W] bool, of the test split of a site with contours; else empty.
    """

    images: npt.NDArray[np.uint8]
    labels: Tensor
    patients: Tensor
    masks: Tensor

    def rows(self, positions: Tensor) -> "PreparedSplit":
        """Returns some images."""
        masks = self.masks[positions] if len(self.masks) else self.masks
        return PreparedSplit(self.images[positions.numpy()], self.labels[positions], self.patients[positions], masks)


@dataclass(frozen=True, slots=True)
class PreparedSite:
    """A site's images, ready for a run.

    Attributes:
        site: after the ingest.
        train: the training images.
        views: [V, N, C, H, W] uint8, augmented views of the training images.
        held_out: the images that a run is judged on.
    """

    site: IngestedSite
    train: PreparedSplit
    views: npt.NDArray[np.uint8]
    held_out: PreparedSplit

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.site.entry.folder


def read_split(site: IngestedSite, split: Split, network: NetworkSettings) -> PreparedSplit:
    """Returns the images of a split at the size of the network, as the product prepares them."""
    samples = site.splits[split]
    split_format = SplitFormat(site.task, (site.entry.modality,), site.task.labels, network)
    arrays = open_split_arrays(samples, split_format)
    stored = arrays.images.read(slice(None)).numpy()  # type: ignore[attr-defined]
    masks = _read_masks(site, samples, network) if split is Split.TEST else torch.zeros(0)
    return PreparedSplit(stored, arrays.classes, number_patients(record.patient for record in samples.records), masks)


def prepare_site(site: IngestedSite, network: NetworkSettings, development: bool, folder: Path) -> PreparedSite:
    """Returns a site; in development its held-out images are of training patients, and the test split is not opened."""
    train = read_split(site, Split.TRAIN, network)
    views = _read_views(site, train, network, folder)
    if not development:
        return PreparedSite(site, train, views, read_split(site, Split.TEST, network))
    if site.splits[Split.VALIDATION].records:
        return PreparedSite(site, train, views, read_split(site, Split.VALIDATION, network))
    is_held_out = torch.tensor(
        [_fraction(record.patient) < DEVELOPMENT_SHARE for record in site.splits[Split.TRAIN].records]
    )
    train_rows, held_out_rows = (~is_held_out).nonzero()[:, 0], is_held_out.nonzero()[:, 0]
    return PreparedSite(site, train.rows(train_rows), views[:, train_rows.numpy()], train.rows(held_out_rows))


def _fraction(pseudonym: str) -> float:
    """Returns a fixed number from 0 to 1 for a patient."""
    return int(hashlib.sha256(pseudonym.encode()).hexdigest()[:8], 16) / 2**32


def _read_views(
    site: IngestedSite, train: PreparedSplit, network: NetworkSettings, folder: Path
) -> npt.NDArray[np.uint8]:
    """Returns the views, which are made once and stored in a file."""
    snapshot = digest_json(
        [[record.id for record in site.splits[Split.TRAIN].records], list(network.image_size), network.channels]
    )
    path = folder / "views" / f"{site.entry.folder}-{snapshot.removeprefix('sha256:')[:16]}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        streams, augmentation, views = RandomStreams(VIEW_SEED, site.entry.folder), Augmentation(), []
        for view in range(VIEWS):
            batches = torch.split(torch.from_numpy(train.images), BATCH)
            views.append(
                [
                    quantise(augmentation(to_unit(batch), streams.generator("view", view, number))[0], "uint8")
                    for number, batch in enumerate(batches)
                ]
            )
        partial = path.with_suffix(".part.npy")
        np.save(partial, np.stack([np.concatenate(batches) for batches in views]))
        partial.replace(path)
    array: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array


def _read_masks(site: IngestedSite, samples: OpenedSamples, network: NetworkSettings) -> Tensor:
    """Returns the contours [N, H, W] of the samples, found by their pixels: a snapshot has no names of files."""
    source = site.entry.source
    if not any(source.glob("*/*_mask.png")):
        return torch.zeros(0)
    with (source / "labels.csv").open(encoding="utf-8", newline="") as labels:
        files = [source / row["file"] for row in csv.DictReader(labels) if row["split"] == "test"]
    mask_of = {digest_pixels(np.asarray(Image.open(file))): file.with_name(f"{file.stem}_mask.png") for file in files}
    masks = []
    for sample in samples:
        pixels = np.asarray(Image.open(mask_of[digest_pixels(sample.images[site.entry.modality].pixels)]))
        mask = torch.from_numpy((pixels > 0).astype(np.float32))[None, None]
        masks.append(resize_mask(mask, network.image_size)[0, 0].bool())
    return torch.stack(masks)


def digest_pixels(array: npt.NDArray[Any]) -> bytes:
    """Returns the digest of an array's bytes."""
    return hashlib.sha1(np.ascontiguousarray(array).data, usedforsecurity=False).digest()
