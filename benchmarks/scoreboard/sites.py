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
from anamnesis.training.intensity import resize, to_channels, to_planes, to_unit

Array = npt.NDArray[Any]

CAP = 1200
"""Training images taken of a site, at most."""
VALIDATION_SHARE = 0.2
"""Share of the groups that the development sequence holds out of the training split."""


class HeldOut(StrEnum):
    """What a method is judged on."""

    TEST = "test"
    """The site's own test split."""
    VALIDATION = "validation"
    """A fixed share of the groups of its training split; the test split stays closed."""


@dataclass(frozen=True, slots=True)
class Cases:
    """Images with what is known of them.

    Attributes:
        images: [N, 1, H, W] float16 in [0, 1].
        labels: [N] index of the class in the site's task.
        groups: [N] number of the patient, from 0; of the cluster of near-duplicates where no patient is known.
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
class Site:
    """A site of a sequence.

    Attributes:
        name: unique in its sequence.
        task: its question; sites with equal tasks share their columns.
        train: what is learned.
        held_out: what is judged; no group of ``train`` is in it.
    """

    name: str
    task: Task
    train: Cases
    held_out: Cases

    def only(self, images: int) -> "Site":
        """Returns the site with its first ``images`` training and held-out images."""
        few = slice(images)
        train, held_out = (cases[torch.arange(len(cases.labels))[few]] for cases in (self.train, self.held_out))
        return replace(self, train=train, held_out=held_out)


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder of real images: ``ANAMNESIS_DATA``, by default ``../shared/data`` beside the checkout.

    Raises:
        InputError: there is no such folder.
    """
    beside = Path(anamnesis.__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(environment.get("ANAMNESIS_DATA", beside))
    if not folder.is_dir():
        raise InputError(f"ANAMNESIS_DATA: there is no folder {folder}; the sequence 'phantom' needs none")
    return folder


def read_site(
    folder: Path, name: str, task: str, classes: tuple[str, ...], held_out: HeldOut, size: int, cap: int = CAP
) -> Site:
    """Reads a site below ``folder``: the classes named, grey, at ``size`` pixels, at most ``cap`` to learn from.

    Raises:
        InputError: the site's file is not there, or has no such class.
    """
    path = folder / name
    if name == "cifar10":
        arrays = _read_cifar(path, classes, round(cap / (1 - VALIDATION_SHARE)))
    else:
        arrays = _read(path / "images.npz", classes)
    shut = arrays["split"] == 1
    if held_out is HeldOut.VALIDATION:
        carved = {group for group in np.unique(arrays["groups"][~shut]) if _share(str(group)) < VALIDATION_SHARE}
        apart = np.isin(arrays["groups"], list(carved)) & ~shut
        learned = ~shut & ~apart
    else:
        apart, learned = shut, ~shut
    rng = np.random.default_rng(0)  # images of all patients, not the first patients' alone
    chosen = rng.permutation(np.flatnonzero(learned))[:cap]
    shuffled = rng.permutation(np.flatnonzero(apart))
    question = Task(task, TaskType.CLASSIFICATION, classes, "Accuracy")
    return Site(name, question, _cases(arrays, chosen, size), _cases(arrays, shuffled, size))


def _read(path: Path, classes: tuple[str, ...]) -> dict[str, Array]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; see the page of the data")
    with np.load(path) as file:
        names = [str(name) for name in file["class_names"]]
        if missing := [name for name in classes if name not in names]:
            raise InputError(f"{path}: no class {missing[0]!r}; it has {', '.join(names)}")
        order = np.array([classes.index(name) if name in classes else -1 for name in names])
        labels = order[file["labels"]]
        wanted = labels >= 0
        keys = [key for key in ("images", "groups", "split", "masks") if key in file]
        return {key: file[key][wanted] for key in keys} | {"labels": labels[wanted]}


def _read_cifar(folder: Path, classes: tuple[str, ...], images: int) -> dict[str, Array]:
    """Reads ``images`` training images of the classes; each is a group of its own."""
    from PIL import Image

    with np.load(io.BytesIO(lzma.decompress((folder / "cifar10_jpeg.npz.xz").read_bytes()))) as file:
        names = [str(name) for name in file["class_names"]]
        labels, offsets, bytes_ = file["train_labels"], file["train_offsets"], file["train_jpeg"]
    wanted = np.flatnonzero(np.isin(labels, [names.index(name) for name in classes]))
    wanted = np.random.default_rng(0).permutation(wanted)[:images]
    decoded = [Image.open(io.BytesIO(bytes_[offsets[i] : offsets[i + 1]].tobytes())) for i in wanted]
    return {
        "images": np.stack([np.asarray(image.convert("RGB")) for image in decoded]),
        "labels": np.array([classes.index(names[label]) for label in labels[wanted]]),
        "groups": np.array([f"cifar10-{i}" for i in wanted]),
        "split": np.zeros(len(wanted), np.uint8),
    }


def _cases(arrays: Mapping[str, Array], chosen: Array, size: int) -> Cases:
    pixels = torch.from_numpy(arrays["images"][chosen].astype(np.float32))
    planes = to_planes(to_unit(pixels, "OT", byte=True), "YXC" if pixels.ndim == 4 else "YX")
    images = resize(to_channels(planes, 1), (size, size)).half()
    groups = np.unique(arrays["groups"][chosen], return_inverse=True)[1]
    masks = None
    if "masks" in arrays:
        whole = torch.from_numpy(arrays["masks"][chosen].astype(np.float32))[:, None]
        masks = torch.nn.functional.interpolate(whole, (size, size), mode="nearest")[:, 0].bool()
    return Cases(images, torch.from_numpy(arrays["labels"][chosen]).long(), torch.from_numpy(groups).long(), masks)


def _share(group: str) -> float:
    """Returns a fixed number from 0 to 1 for a group's name."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
