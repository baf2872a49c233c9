"""Loading of the pixels of studies: files in parallel, arrays of an NPZ in one stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from anamnesis import imaging
from anamnesis.imaging import Format, PixelSource, ReadError
from anamnesis.imaging.contrast import check_contrast
from anamnesis.records import Image, Progress
from anamnesis.snapshots.manifest import ImageRecord
from anamnesis.snapshots.parallel import OrderedExecutorMap, batched
from anamnesis.snapshots.quarantine import QuarantineEntry, QuarantineLog, QuarantineReason
from anamnesis.snapshots.shards import ShardWriter, content_digest
from anamnesis.snapshots.studies import MASK, Study
from anamnesis.storage.store import Store

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class ImageLoad:
    """One image to load.

    Attributes:
        study_index: position of the study of the image.
        name: modality or ``mask``.
        pixel_source: place of the pixels.
        classes: number of classes that a mask may have.
        image_source: of a mask, the place of the pixels of its image.
    """

    study_index: int
    name: str
    pixel_source: PixelSource
    classes: int
    image_source: PixelSource | None = None


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A loaded image, or the reason for quarantine; for a series also the errors of unusable slices by position."""

    study_index: int
    name: str
    image: Image | None = None
    record: ImageRecord | None = None
    reason: str = ""
    detail: str = ""
    slice_errors: Mapping[int, ReadError] = field(default_factory=dict)


def store_pixels(
    studies: Sequence[Study],
    classes: int,
    store: Store,
    quarantine_log: QuarantineLog,
    parallel_map: OrderedExecutorMap,
    progress: Progress,
) -> list[dict[str, ImageRecord] | None]:
    """Loads all images of the studies into shards.

    Args:
        studies: the studies to load.
        classes: number of classes of the task.
        store: receives the shards.
        quarantine_log: receives the files of studies with an unusable image.
        parallel_map: map over processes.
        progress: receives the number of images read.

    Returns:
        For each study the records of its images, or none when one of them is unusable.
    """
    records: list[dict[str, ImageRecord] | None] = [{} for _ in studies]
    shards = ShardWriter(store)
    total = sum(len(study.pixel_sources) for study in studies)
    progress_interval = max(1, total // 100)
    for loaded_count, loaded_image in enumerate(load_images(studies, classes, parallel_map), 1):
        image_records = records[loaded_image.study_index]
        if image_records is not None and loaded_image.image and loaded_image.record:
            shards.add(loaded_image.record.content, loaded_image.image.pixels)
            image_records[loaded_image.name] = loaded_image.record
        elif image_records is not None:
            quarantine_log.entries += _quarantine_study(studies[loaded_image.study_index], loaded_image)
            records[loaded_image.study_index] = None
        if loaded_count % progress_interval == 0 or loaded_count == total:
            progress(loaded_count, total, "images read")
    shards.flush()
    return records


def read_contents(studies: Sequence[Study], classes: int, parallel_map: OrderedExecutorMap) -> frozenset[str]:
    """Returns the content digests of the images of some studies, without masks; stores nothing."""
    return frozenset(
        loaded_image.record.content
        for loaded_image in load_images(studies, classes, parallel_map)
        if loaded_image.record and loaded_image.name != MASK
    )


def _quarantine_study(study: Study, loaded_image: LoadedImage) -> list[QuarantineEntry]:
    """Returns an entry for each file of a study with an unusable image: unusable slices have reasons of their own."""
    if not loaded_image.slice_errors:
        return [QuarantineEntry(file, loaded_image.reason, loaded_image.detail) for file in study.files]
    errors = {
        study.image_files[loaded_image.name][position]: error for position, error in loaded_image.slice_errors.items()
    }
    return [
        QuarantineEntry(file, errors[file].reason, errors[file].detail)
        if file in errors
        else QuarantineEntry(file, QuarantineReason.INCOMPLETE_SERIES, cause=next(iter(errors)))
        for file in study.files
    ]


def load_images(studies: Sequence[Study], classes: int, parallel_map: OrderedExecutorMap) -> Iterator[LoadedImage]:
    """Yields all images of the studies, in an order that depends on the studies alone."""
    image_loads = [
        ImageLoad(study_index, name, pixel_source, classes, _image_source(study) if name == MASK else None)
        for study_index, study in enumerate(studies)
        for name, pixel_source in sorted(study.pixel_sources.items())
    ]
    for loaded_images in parallel_map(
        load_batch,
        batched((image_load for image_load in image_loads if not image_load.pixel_source.member), _BATCH_SIZE),
    ):
        yield from loaded_images
    npz_loads = sorted(
        (image_load for image_load in image_loads if image_load.pixel_source.member), key=_pixel_position
    )
    for _, group in groupby(npz_loads, key=lambda image_load: _pixel_position(image_load)[:2]):
        yield from _stream_npz(list(group))


def _image_source(study: Study) -> PixelSource:
    """Returns the place of the image that a mask belongs to: the first one of the study."""
    return next(pixel_source for name, pixel_source in study.pixel_sources.items() if name != MASK)


def load_batch(image_loads: Sequence[ImageLoad]) -> list[LoadedImage]:
    """Loads images from files; an unreadable image has a reason instead."""
    return [_load_image(image_load) for image_load in image_loads]


def _pixel_position(image_load: ImageLoad) -> tuple[str, str, int]:
    return str(image_load.pixel_source.paths[0]), image_load.pixel_source.member, image_load.pixel_source.row


def _load_image(image_load: ImageLoad) -> LoadedImage:
    try:
        if image_load.image_source:
            image = imaging.load_mask(image_load.pixel_source, image_load.image_source)
        else:
            image = imaging.load_image(image_load.pixel_source, image_load.name)
    except ReadError as error:
        is_slice_error = error.file_number is not None
        slice_errors = _find_unusable_slices(image_load.pixel_source) if is_slice_error else {}
        return replace(_to_unusable_image(image_load, error), slice_errors=slice_errors)
    return _to_loaded_image(image_load, image)


def _to_unusable_image(image_load: ImageLoad, error: ReadError) -> LoadedImage:
    return LoadedImage(image_load.study_index, image_load.name, reason=error.reason, detail=error.detail)


def _find_unusable_slices(series: PixelSource) -> dict[int, ReadError]:
    """Returns the errors of the slices of a series that are unusable on their own, by their position."""
    errors: dict[int, ReadError] = {}
    for position, path in enumerate(series.paths if len(series.paths) > 1 else ()):
        try:
            imaging.load_slice(path)
        except ReadError as error:
            errors[position] = error
    return errors


def _stream_npz(image_loads: Sequence[ImageLoad]) -> Iterator[LoadedImage]:
    remaining_loads = iter(image_loads)
    try:
        images = imaging.iter_rows(
            image_loads[0].pixel_source.paths[0],
            image_loads[0].pixel_source.member,
            [image_load.pixel_source.row for image_load in image_loads],
        )
        for image in images:
            image_load = next(remaining_loads)
            yield _check_row(image_load, image)
    except ReadError as error:
        for image_load in remaining_loads:
            yield _to_unusable_image(image_load, error)


def _check_row(image_load: ImageLoad, image: Image | ReadError) -> LoadedImage:
    if isinstance(image, ReadError):
        return _to_unusable_image(image_load, image)
    if image_load.name != MASK:
        try:
            check_contrast(image, image_load.name, Format.NPZ)
        except ReadError as error:
            return _to_unusable_image(image_load, error)
    return _to_loaded_image(image_load, image)


def _to_loaded_image(image_load: ImageLoad, image: Image) -> LoadedImage:
    if image_load.name == MASK:
        try:
            image = to_mask(image, image_load.classes)
        except ValueError as error:
            return LoadedImage(
                image_load.study_index, image_load.name, reason=QuarantineReason.MASK_VALUES, detail=str(error)
            )
    pixels = image.pixels
    record = ImageRecord(
        content=content_digest(pixels),
        dtype=pixels.dtype.name,
        shape=pixels.shape,
        spacing=image.spacing,
        axes=image.axes,
        affine=image.affine,
        slice_axis=image.slice_axis,
    )
    return LoadedImage(image_load.study_index, image_load.name, image, record)


def to_mask(image: Image, classes: int) -> Image:
    """Returns a mask of integers; 0 is background. In an image of only 0 and 255, 255 means class 1.

    Raises:
        ValueError: the mask has colours, fractions, or more classes than the task.
    """
    pixels = image.pixels
    if image.axes == "YXC":
        raise ValueError("the mask has colours; export the mask with one number for each pixel")
    values = np.unique(pixels)
    if set(values.tolist()) <= {0, 255}:
        return replace(image, pixels=(pixels > 0).astype(np.uint8))
    if values.min() < 0 or values.max() > classes or (values != np.round(values)).any():
        raise ValueError(
            f"expected whole numbers from 0 to {classes}, found values from {values.min()} to {values.max()}; "
            "correct the mask, or the classes of the task"
        )
    return replace(image, pixels=pixels.astype(np.uint8 if classes < 256 else np.uint16))
