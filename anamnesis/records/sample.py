"""A sample: one study of one patient, as all steps after the ingest see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for the annotation only: this package needs the standard library alone
    import numpy as np


class Split(StrEnum):
    """The use of a sample."""

    TRAIN = "train"
    VALIDATION = "validation"
    """The patient is a training patient who is held out for choices; a method that chooses nothing trains on both."""
    CALIBRATION = "calibration"
    """The patient is neither trained on nor tested: temperatures and thresholds come from these samples."""
    TEST = "test"
    RESERVE = "reserve"
    """The patient is a test patient, but arrived after the test set was frozen; the sample waits for the next set."""
    PENDING = "pending"
    """The sample has no label yet."""


TRAINING_SPLITS = (Split.TRAIN, Split.VALIDATION)
"""The splits of training patients."""


@dataclass(frozen=True, slots=True)
class Image:
    """The pixels of one image.

    Attributes:
        pixels: native dtype; DICOM values after the modality rescale (CT: Hounsfield units).
        spacing: millimetres along each spatial axis, in the order of ``axes``; 1.0 where unknown.
        axes: ``YX``, ``YXC`` (colour last) or ``ZYX``. A volume with an affine is stored from feet to head, front to
            back, right to left; an oblique one along the closest axes.
        affine: three rows; they map (index along each spatial axis, in the order of ``axes``, then 1) to millimetres
            to the patient's left, back and head (DICOM's patient coordinates). Empty where unknown.
        slice_axis: the axis of a volume across its slices, as they were acquired: 0 axial, 1 coronal, 2 sagittal.
    """

    pixels: np.ndarray
    spacing: tuple[float, ...]
    axes: str
    affine: tuple[tuple[float, ...], ...] = ()
    slice_axis: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """The ground truth of a sample: a class, a mask, or a time to event.

    Attributes:
        index: position in ``Task.classes``.
        mask: key of the mask in ``Sample.images``; it has one integer class for each pixel.
        event: whether the event was observed.
        days: time to event or to the end of observation.
    """

    index: int | None = None
    mask: str | None = None
    event: bool | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One study with its images loaded.

    Attributes:
        id: digest over patient, study and image contents; it identifies the sample everywhere.
        patient: pseudonym, ``HMAC(key, site, patient)``; never the source's identifier.
        study: pseudonym of the study, a keyed hash of its identifier.
        images: modality code -> image.
        target: the ground truth; none while pending.
        covariates: numbers that the model may read, by name.
        attributes: generalised attributes, by name.
    """

    id: str
    patient: str
    study: str
    images: Mapping[str, Image]
    target: Target | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
