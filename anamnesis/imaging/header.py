"""What is known of one image while it is read. It holds identifiers, so it lives in memory only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.records import Image


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of one image before its pixels are read. An empty string: the format does not say.

    Attributes:
        member: the array inside an NPZ that holds the image, else empty.
        row: the image's place in that array, else -1.
        modality: DICOM code.
        patient: the source's identifier.
        study: the source's identifier.
        series: the source's identifier; files that share it are slices of one volume.
        label: the class's name, its number where the file has no names, or none.
        split: ``train`` or ``test`` as the file declares it.
        mask: the array inside an NPZ that holds the mask.
        attributes: banded: ``Sex``, ``AgeBand``, ``Manufacturer``.
    """

    member: str = ""
    row: int = -1
    modality: str = ""
    patient: str = ""
    study: str = ""
    series: str = ""
    label: str | int | None = None
    split: str = ""
    mask: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PixelSource:
    """Where the pixels of one image stand.

    Attributes:
        paths: one file, or the slices of a series.
        member: the array inside an NPZ, else empty.
        row: the place in that array, else -1.
    """

    paths: tuple[Path, ...]
    member: str = ""
    row: int = -1


@dataclass(frozen=True, slots=True)
class RawImage:
    """One image as read, with what its file says of it."""

    header: Header
    image: Image
