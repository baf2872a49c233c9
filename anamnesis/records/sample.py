"""One study of one patient, as everything after ingestion sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # arrays are passed through, never made here: this package needs the standard library only
    import numpy as np


class Split(StrEnum):
    """What a sample may be used for."""

    TRAIN = "train"
    TEST = "test"
    RESERVE = "reserve"
    """A test patient who came after the test set was frozen; waits for the next set."""
    PENDING = "pending"
    """No label yet."""


@dataclass(frozen=True, slots=True)
class Image:
    """Pixels as delivered.

    Attributes:
        pixels: native dtype; DICOM values after the modality rescale (Hounsfield units, SUV).
        spacing: millimetres along each spatial axis, in the order of ``axes``; 1.0 where unknown.
        axes: ``YX``, ``YXC`` (colour last) or ``ZYX``.
    """

    pixels: np.ndarray
    spacing: tuple[float, ...]
    axes: str


@dataclass(frozen=True, slots=True)
class Target:
    """The answer: one of a class, a mask (named like an image), or time to event.

    Attributes:
        index: position in ``Task.classes``.
        mask: key of ``Sample.images`` that holds the mask, integer classes per pixel.
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
        id: digest over patient, study and image contents; the sample's name everywhere.
        patient: keyed hash, ``HMAC(key, site, patient)``; never the source's identifier.
        study: keyed hash of the study's identifier.
        images: modality code -> image.
        target: the answer, or none while pending.
        covariates: numbers that the model may read, by name.
        attributes: banded attributes, by name.
    """

    id: str
    patient: str
    study: str
    images: Mapping[str, Image]
    target: Target | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
