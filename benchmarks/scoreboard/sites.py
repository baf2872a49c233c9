"""One site in memory: images to learn from and images held out, no patient in both."""

import hashlib
import io
import lzma
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import anamnesis
from anamnesis.records import InputError, Task, TaskType
from anamnesis.training.intensity import resize, to_channels, to_planes, to_unit_range

Array = npt.NDArray[Any]

MAXIMUM_TRAINING_IMAGES = 1200
"""Training images taken of a site, at most."""
VALIDATION_SHARE = 0.2
"""Share of the groups that the development sequence holds out of the training split."""


class HeldOut(StrEnum):
    """The images that methods are evaluated on."""

    TEST = "test"
    """The site's own test split."""
    VALIDATION = "validation"
    """A fixed share of the groups of its training split; the test split is not opened."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Images with their labels.

    Attributes:
        images: [N, 1, H, W] float16 in [0, 1].
        labels: [N] index of the class in the site's task.
        groups: [N] number of the patient, from 0; of the cluster of near-duplicates where patients are unknown.
        masks: [N, H, W] bool, where there are contours.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor
    masks: Tensor | None = None

    def __getitem__(self, index: Tensor) -> "Cases":
        """Returns the chosen cases."""
        masks = None if self.masks is None else self.masks[index]
        return Cases(self.images[index], self.labels[index], self.groups[index], masks)


@dataclass(frozen=True, slots=True)
class BenchmarkSite:
    """A site of a sequence.

    Attributes:
        name: unique in its sequence.
        task: its task; sites with equal tasks share their columns.
        train: the training images.
        held_out: the evaluation images; no group of ``train`` is among them.
    """

    name: str
    task: Task
    train: Cases
    held_out: Cases

    def take_first(self, images: int) -> "BenchmarkSite":
        """Returns the site with its first ``images`` training and held-out images."""
        first_images = slice(images)
        train, held_out = (
            cases[torch.arange(len(cases.labels))[first_images]] for cases in (self.train, self.held_out)
        )
        return replace(self, train=train, held_out=held_out)


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder of real images: ``ANAMNESIS_DATA``, by default ``../shared/data`` beside the checkout.

    Raises:
        InputError: there is no such folder.
    """
    default_folder = Path(anamnesis.__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(environment.get("ANAMNESIS_DATA", default_folder))
    if not folder.is_dir():
        raise InputError(
            f"ANAMNESIS_DATA: no folder {folder}; set it to the folder of the images, or use the sequence 'phantom'"
        )
    return folder


@dataclass(frozen=True, slots=True)
class SiteEntry:
    """A site of a sequence: its folder, its task and the classes that are read."""

    folder: str
    task: str
    classes: tuple[str, ...]


def read_site(
    folder: Path, entry: SiteEntry, held_out: HeldOut, size: int, cap: int = MAXIMUM_TRAINING_IMAGES
) -> BenchmarkSite:
    """Reads a site below ``folder``: its classes, grey, at ``size`` pixels, at most ``cap`` training images.

    Raises:
        InputError: the site's file is missing, or has no such class.
    """
    path = folder / entry.folder
    if entry.folder == "cifar10":
        arrays = _read_cifar(path, entry.classes, round(cap / (1 - VALIDATION_SHARE)))
    else:
        arrays = _read_arrays(path / "images.npz", entry.classes)
    is_test = arrays["split"] == 1
    if held_out is HeldOut.VALIDATION:
        validation_groups = {
            group for group in np.unique(arrays["groups"][~is_test]) if _group_fraction(str(group)) < VALIDATION_SHARE
        }
        is_held_out = np.isin(arrays["groups"], list(validation_groups)) & ~is_test
        is_training = ~is_test & ~is_held_out
    else:
        is_held_out, is_training = is_test, ~is_test
    rng = np.random.default_rng(0)  # images of all patients, not only of the first ones
    training_indices = rng.permutation(np.flatnonzero(is_training))[:cap]
    held_out_indices = rng.permutation(np.flatnonzero(is_held_out))
    return BenchmarkSite(
        name=entry.folder,
        task=Task(entry.task, TaskType.CLASSIFICATION, entry.classes, "Accuracy"),
        train=_make_cases(arrays, training_indices, size),
        held_out=_make_cases(arrays, held_out_indices, size),
    )


def _read_arrays(path: Path, classes: tuple[str, ...]) -> dict[str, Array]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; copy the images of the site there")
    with np.load(path) as file:
        names = [str(name) for name in file["class_names"]]
        if missing := [name for name in classes if name not in names]:
            raise InputError(f"{path}: no class {missing[0]!r}; it has {', '.join(names)}")
        order = np.array([classes.index(name) if name in classes else -1 for name in names])
        labels = order[file["labels"]]
        is_included = labels >= 0
        keys = [key for key in ("images", "groups", "split", "masks") if key in file]
        return {key: file[key][is_included] for key in keys} | {"labels": labels[is_included]}


def _read_cifar(folder: Path, classes: tuple[str, ...], images: int) -> dict[str, Array]:
    """Reads ``images`` training images of the classes; each is a group of its own."""
    from PIL import Image

    with np.load(io.BytesIO(lzma.decompress((folder / "cifar10_jpeg.npz.xz").read_bytes()))) as file:
        names = [str(name) for name in file["class_names"]]
        labels, offsets, encoded_images = file["train_labels"], file["train_offsets"], file["train_jpeg"]
    indices = np.flatnonzero(np.isin(labels, [names.index(name) for name in classes]))
    indices = np.random.default_rng(0).permutation(indices)[:images]
    decoded = [
        Image.open(io.BytesIO(encoded_images[offsets[index] : offsets[index + 1]].tobytes())) for index in indices
    ]
    return {
        "images": np.stack([np.asarray(image.convert("RGB")) for image in decoded]),
        "labels": np.array([classes.index(names[label]) for label in labels[indices]]),
        "groups": np.array([f"cifar10-{index}" for index in indices]),
        "split": np.zeros(len(indices), np.uint8),
    }


def _make_cases(arrays: Mapping[str, Array], indices: Array, size: int) -> Cases:
    pixels = torch.from_numpy(arrays["images"][indices].astype(np.float32))
    planes = to_planes(to_unit_range(pixels, "OT", is_byte=True), "YXC" if pixels.ndim == 4 else "YX")
    images = resize(to_channels(planes, 1), (size, size)).half()
    groups = np.unique(arrays["groups"][indices], return_inverse=True)[1]
    masks = None
    if "masks" in arrays:
        full_masks = torch.from_numpy(arrays["masks"][indices].astype(np.float32))[:, None]
        masks = torch.nn.functional.interpolate(full_masks, (size, size), mode="nearest")[:, 0].bool()
    return Cases(images, torch.from_numpy(arrays["labels"][indices]).long(), torch.from_numpy(groups).long(), masks)


def _group_fraction(group: str) -> float:
    """Returns a fixed number from 0 to 1 for a group's name."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
