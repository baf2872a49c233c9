"""Single-frame, uncompressed DICOM: one file is an image, the slices of a series are a volume."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from anamnesis.imaging.errors import ReadError, Reason, reading
from anamnesis.imaging.generalised_attributes import banded
from anamnesis.imaging.header import Header
from anamnesis.imaging.pixels import Pixels, as_image, check_size, integer_type
from anamnesis.imaging.volume import Slice, stack
from anamnesis.records import Image

_UNCOMPRESSED = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
_NEVER_STACKED = {
    "CR",
    "DX",
    "DXR",
    "MG",
    "IO",
    "PX",
    "RG",
    "RF",
    "XA",
    "US",
    "SM",
    "GM",
    "XC",
    "ES",
    "OP",
    "OPT",
    "ECG",
}
_COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422"}
_HEADER_TAGS = [
    "Modality", "PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "Manufacturer",
    "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "BurnedInAnnotation", "PhotometricInterpretation", "ModalityLUTSequence",
]  # fmt: skip


def inspect(path: Path) -> Header:
    """Returns what the header says; no pixel is read.

    Projections, ultrasound and photographs are never stacked: their series holds views, not slices.

    Raises:
        ReadError: the file cannot be read, or holds what is not read yet.
    """
    with reading():
        _check_syntax(path)
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        _check_kind(dataset)
        modality, study = str(dataset.get("Modality") or ""), str(dataset.get("StudyInstanceUID") or "")
        series = str(dataset.get("SeriesInstanceUID") or "")
        return Header(
            modality=modality,
            # Without a patient number the study is the smallest thing that surely belongs to one person.
            patient=str(dataset.get("PatientID") or "").strip() or study,
            study=study,
            series="" if modality in _NEVER_STACKED or not series else f"{study}/{series}",
            attributes=banded(dataset),
        )


def load(paths: tuple[Path, ...]) -> Image:
    """Returns the image of one file, ``YX`` or ``YXC``, or the volume of a series, ``ZYX``.

    Raises:
        ReadError: a file cannot be read, or the slices do not fit together.
    """
    with reading():
        slices = [_slice(path) for path in paths]
        if len(slices) > 1:
            return stack(slices)
        return as_image(slices[0].pixels, slices[0].spacing, "YX" if slices[0].pixels.ndim == 2 else "YXC")


def _check_syntax(path: Path) -> None:
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax not in _UNCOMPRESSED:
        raise ReadError(Reason.COMPRESSED if syntax else Reason.UNREADABLE, f"transfer syntax {syntax}")


def _check_kind(dataset: pydicom.Dataset) -> None:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise ReadError(Reason.NO_PIXELS, f"modality {dataset.get('Modality')}")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise ReadError(Reason.MULTI_FRAME, f"{dataset.NumberOfFrames} frames")
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ReadError(Reason.BURNED_IN)
    colours = str(dataset.get("PhotometricInterpretation") or "")
    if colours not in _COLOURS | {"MONOCHROME1", "MONOCHROME2"} or "ModalityLUTSequence" in dataset:
        raise ReadError(Reason.COLOURS, colours)
    channels = int(dataset.get("SamplesPerPixel") or 1)
    check_size((int(dataset.Rows), int(dataset.Columns), channels), int(dataset.get("BitsAllocated") or 8) // 8 or 1)


def _slice(path: Path) -> Slice:
    _check_syntax(path)
    dataset = pydicom.dcmread(path)
    _check_kind(dataset)
    return Slice(
        pixels=_pixels(dataset),
        spacing=_numbers(dataset, "PixelSpacing", 2) or _numbers(dataset, "ImagerPixelSpacing", 2) or (1.0, 1.0),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        number=int(dataset.get("InstanceNumber") or 0),
        thickness=float(dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness") or 1.0),
    )


def _numbers(dataset: pydicom.Dataset, name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    return tuple(float(number) for number in value) if value is not None and len(value) == count else None


def _pixels(dataset: pydicom.Dataset) -> Pixels:
    """Colour as RGB; grey so that more is brighter, after the modality rescale (DICOM PS3.3 C.11.1)."""
    stored = pixel_array(dataset)
    if stored.ndim == 3 or stored.dtype.kind == "f":
        return stored
    low, high = _stored_range(dataset, stored)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored = (low + high - stored.astype(np.int64)).astype(stored.dtype)
    return _rescaled(
        stored, low, high, float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    )


def _stored_range(dataset: pydicom.Dataset, stored: Pixels) -> tuple[int, int]:
    """What ``BitsStored`` allows, widened where the pixels do not keep to it."""
    bits, signed = int(dataset.get("BitsStored") or dataset.BitsAllocated), bool(dataset.get("PixelRepresentation"))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return min(low, int(stored.min())), max(high, int(stored.max()))


def _rescaled(stored: Pixels, low: int, high: int, slope: float, intercept: float) -> Pixels:
    """Integers where that is exact, in a type chosen by what the header allows and not by this image's values."""
    if slope == 1 and intercept == 0:
        return stored
    if slope.is_integer() and intercept.is_integer() and slope != 0:
        ends = sorted((low * int(slope) + int(intercept), high * int(slope) + int(intercept)))
        if kind := integer_type(*ends):
            return (stored.astype(np.int64) * int(slope) + int(intercept)).astype(kind)
    return np.asarray(stored.astype(np.float64) * slope + intercept, np.float32)
