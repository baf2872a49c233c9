"""Checks that a network can read the images of a split, before they are read; what does not fit is counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from anamnesis.records import InputError, NetworkSettings, Sample
from anamnesis.snapshots.manifest import SampleRecord


@dataclass(frozen=True, slots=True)
class _ImageShape:
    axes: str
    sides: tuple[int, ...]


def check_images(samples: Sequence[Sample | SampleRecord], modality: str, spec: NetworkSettings) -> None:
    """Checks that all samples have an image of a modality, and that the network can read it.

    Args:
        samples: of one split.
        modality: of the images.
        spec: the input of the network.

    Raises:
        InputError: a sample has no image of the modality, an image has no depth and the network reads volumes, or a
            volume is thinner than a patch.
    """
    images = [_shape_of(sample, modality) for sample in samples if modality in sample.images]
    if len(images) < len(samples):
        raise InputError(
            f"{len(samples) - len(images)} of {len(samples)} samples have no image of modality {modality!r}; ask the "
            "site for studies with this modality, or create a Site without it in spec.modalities"
        )
    if len(spec.size) == 3:
        _check_depth(images, modality)
    if spec.patches:
        _check_thickness(images, modality, spec.size)


def describe_unread_parts(
    samples: Sequence[Sample | SampleRecord], modality: str, spec: NetworkSettings
) -> Iterator[str]:
    """Yields how many images the network reads without their colour, or without all slices but one.

    Args:
        samples: of one split; each has an image of the modality.
        modality: of the images.
        spec: the input of the network.
    """
    counts = Counter(_shape_of(sample, modality).axes for sample in samples)
    images = f"of {len(samples)} images of modality {modality!r}"
    if spec.channels == 1 and (count := counts["YXC"]):
        yield (
            f"network.input.channels is 1, so {count} {images} are read without their colour, as the mean of red, "
            "green and blue; a new ContinualModel with 3 channels keeps it"
        )
    if len(spec.size) == 2 and (count := counts["ZYX"]):
        yield (
            f"network.input.size has two sides, so only the middle slice of {count} {images} is read; a new "
            "ContinualModel with three sides reads volumes"
        )


def _check_depth(images: Sequence[_ImageShape], modality: str) -> None:
    flat_count = sum(image.axes != "ZYX" for image in images)
    if flat_count:
        raise InputError(
            f"network.input.size: three sides need volumes, but {flat_count} of {len(images)} images of modality "
            f"{modality!r} have no depth; set two sides and a network for them, or learn sites with volumes alone"
        )


def _check_thickness(images: Iterable[_ImageShape], modality: str, size: tuple[int, ...]) -> None:
    sides = [image.sides for image in images]
    thin = [each for each in sides if any(side < patch_side for side, patch_side in zip(each, size, strict=True))]
    if thin:
        raise InputError(
            f"network.input.size: {len(thin)} of {len(sides)} volumes of modality {modality!r} are thinner than a "
            f"patch, for example {list(min(thin))} voxels against {list(size)}; set smaller sides, or learn sites "
            "whose volumes have more slices"
        )


def _shape_of(sample: Sample | SampleRecord, modality: str) -> _ImageShape:
    if isinstance(sample, Sample):
        image = sample.images[modality]
        return _ImageShape(image.axes, image.pixels.shape)
    record = sample.images[modality]
    return _ImageShape(record.axes, tuple(record.shape))
