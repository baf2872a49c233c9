"""The header of an image. It holds identifiers, so it is kept in memory only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one image, before its pixels are read. Empty fields: the format has no such value.

    Attributes:
        member: name of the array with the image inside an NPZ, else empty.
        row: row of the image in that array, else -1.
        modality: DICOM code.
        body_part: BodyPartExamined, in capitals.
        patient: the source's identifier of the patient.
        study: the source's identifier of the study.
        series: the source's identifier of the series; files with the same identifier are slices of one volume.
        instance: SOPInstanceUID.
        is_scout_plane: whether it is a slice of a CT that is not axial: alone, or among axial slices, it is a scout.
        label: name of the class, its number where the file has no names, or none.
        split: ``train`` or ``test``, as the file declares it.
        mask: name of the array with the mask inside an NPZ.
        attributes: generalised attributes: ``Sex``, ``AgeBand``, ``Manufacturer``.
    """

    member: str = ""
    row: int = -1
    modality: str = ""
    body_part: str = ""
    patient: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    is_scout_plane: bool = False
    label: str | int | None = None
    split: str = ""
    mask: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PixelSource:
    """The place of the pixels of one image.

    Attributes:
        paths: one file, or the slices of a series.
        member: name of the array inside an NPZ, else empty.
        row: row in that array, else -1.
    """

    paths: tuple[Path, ...]
    member: str = ""
    row: int = -1
