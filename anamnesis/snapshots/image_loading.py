"""Loads the pixels of studies: files in parallel, arrays of an NPZ in one stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from anamnesis import imaging
from anamnesis.imaging import Piece, ReadError
from anamnesis.records import Image, Progress
from anamnesis.snapshots.manifest import ImageRecord
from anamnesis.snapshots.parallel import InOrder, batched
from anamnesis.snapshots.quarantine import Ledger, Misfit
from anamnesis.snapshots.shards import ShardWriter, content_digest
from anamnesis.snapshots.studies import MASK, Study
from anamnesis.storage.store import Store

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Job:
    """One image to load.

    Attributes:
        study: position of its study.
        name: modality or ``mask``.
        piece: where its pixels stand.
        classes: how many classes a mask may name.
    """

    study: int
    name: str
    piece: Piece
    classes: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image, or why there is none."""

    study: int
    name: str
    image: Image | None = None
    record: ImageRecord | None = None
    reason: str = ""
    detail: str = ""


def store_pixels(
    studies: Sequence[Study], classes: int, store: Store, ledger: Ledger, spread: InOrder, progress: Progress
) -> list[dict[str, ImageRecord] | None]:
    """Loads all images of the studies into shards.

    Args:
        studies: what to load.
        classes: how many the task has.
        store: takes the shards.
        ledger: takes the files of studies that fail.
        spread: map over processes.
        progress: told how many images are read.

    Returns:
        For each study the records of its images, or none where one of them failed.
    """
    records: list[dict[str, ImageRecord] | None] = [{} for _ in studies]
    shards = ShardWriter(store)
    total = sum(len(study.pieces) for study in studies)
    step = max(1, total // 100)
    for done, loaded in enumerate(_load_all(studies, classes, spread), 1):
        known = records[loaded.study]
        if known is not None and loaded.image and loaded.record:
            shards.add(loaded.record.content, loaded.image.pixels)
            known[loaded.name] = loaded.record
        elif known is not None:
            ledger.add(loaded.reason, studies[loaded.study].files, loaded.detail)
            records[loaded.study] = None
        if done % step == 0 or done == total:
            progress(done, total, "images read")
    shards.flush()
    return records


def _load_all(studies: Sequence[Study], classes: int, spread: InOrder) -> Iterator[Loaded]:
    """Yields every image of the studies, in an order that depends on nothing but the studies."""
    jobs = [
        Job(place, name, piece, classes)
        for place, study in enumerate(studies)
        for name, piece in sorted(study.pieces.items())
    ]
    for loaded in spread(load_batch, batched((job for job in jobs if not job.piece.member), _BATCH)):
        yield from loaded
    inside = sorted((job for job in jobs if job.piece.member), key=_place)
    for _, group in groupby(inside, key=lambda job: _place(job)[:2]):
        yield from _stream(list(group))


def load_batch(jobs: Sequence[Job]) -> list[Loaded]:
    """Loads images from files; what cannot be read comes as its reason."""
    return [_load(job) for job in jobs]


def _place(job: Job) -> tuple[str, str, int]:
    return str(job.piece.paths[0]), job.piece.member, job.piece.row


def _load(job: Job) -> Loaded:
    try:
        return _loaded(job, imaging.load(job.piece))
    except ReadError as error:
        return Loaded(job.study, job.name, reason=error.reason, detail=error.detail)


def _stream(jobs: Sequence[Job]) -> Iterator[Loaded]:
    left = iter(jobs)
    try:
        images = imaging.rows(jobs[0].piece.paths[0], jobs[0].piece.member, [job.piece.row for job in jobs])
        for found in images:
            job = next(left)
            if isinstance(found, ReadError):
                yield Loaded(job.study, job.name, reason=found.reason, detail=found.detail)
            else:
                yield _loaded(job, found)
    except ReadError as error:
        for job in left:
            yield Loaded(job.study, job.name, reason=error.reason, detail=error.detail)


def _loaded(job: Job, image: Image) -> Loaded:
    if job.name == MASK:
        try:
            image = as_mask(image, job.classes)
        except ValueError as error:
            return Loaded(job.study, job.name, reason=Misfit.MASK, detail=str(error))
    pixels = image.pixels
    record = ImageRecord(content_digest(pixels), pixels.dtype.name, pixels.shape, image.spacing, image.axes)
    return Loaded(job.study, job.name, image, record)


def as_mask(image: Image, classes: int) -> Image:
    """Returns a mask of whole numbers: 0 is background. An image of 0 and 255 alone means 0 and 1.

    Raises:
        ValueError: it has colours, fractions, or more classes than the task.
    """
    pixels = image.pixels
    if image.axes == "YXC":
        raise ValueError("the mask has colours")
    values = np.unique(pixels)
    if set(values.tolist()) <= {0, 255}:
        return Image((pixels > 0).astype(np.uint8), image.spacing, image.axes)
    if values.min() < 0 or values.max() > classes or (values != np.round(values)).any():
        raise ValueError(f"values from {values.min()} to {values.max()}, the task has {classes} classes")
    return Image(pixels.astype(np.uint8 if classes < 256 else np.uint16), image.spacing, image.axes)
