"""Reader of single-frame, uncompressed DICOM: one file is an image, the slices of a series are a volume."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors
from anamnesis.imaging.generalised_attributes import generalise_attributes
from anamnesis.imaging.header import Header
from anamnesis.imaging.pixels import Pixels, check_size, integer_type, to_image
from anamnesis.imaging.volume import Slice, stack_slices
from anamnesis.records import Image

_UNCOMPRESSED = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
_UNSTACKED_MODALITIES = {
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
_COLOUR_INTERPRETATIONS = {"RGB", "YBR_FULL", "YBR_FULL_422"}
_HEADER_TAGS = [
    "Modality", "PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "Manufacturer",
    "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "SOPInstanceUID", "BurnedInAnnotation", "PhotometricInterpretation", "ModalityLUTSequence",
]  # fmt: skip


def read_header(path: Path) -> Header:
    """Returns the header of a file; reads no pixel.

    Projections, ultrasound images and photographs are never stacked: their series holds views, not slices.

    Raises:
        ReadError: the file is unreadable or its kind of image is not supported.
    """
    with translate_read_errors():
        _check_transfer_syntax(path)
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        _check_supported(dataset)
        modality, study = str(dataset.get("Modality") or ""), str(dataset.get("StudyInstanceUID") or "")
        series = str(dataset.get("SeriesInstanceUID") or "")
        return Header(
            modality=modality,
            patient=str(dataset.get("PatientID") or "").strip(),
            study=study,
            series="" if modality in _UNSTACKED_MODALITIES or not series else f"{study}/{series}",
            instance=str(dataset.get("SOPInstanceUID") or ""),
            attributes=generalise_attributes(dataset),
        )


def load_image(paths: tuple[Path, ...]) -> Image:
    """Returns the image of one file, ``YX`` or ``YXC``, or the volume of a series, ``ZYX``.

    Raises:
        ReadError: a file is unreadable, or the slices are inconsistent.
    """
    with translate_read_errors():
        slices = [_read_slice(path) for path in paths]
        if len(slices) > 1:
            return stack_slices(slices)
        return to_image(slices[0].pixels, slices[0].spacing, "YX" if slices[0].pixels.ndim == 2 else "YXC")


def _check_transfer_syntax(path: Path) -> None:
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if not syntax:
        raise ReadError(
            ReadErrorReason.UNREADABLE, "the file has no TransferSyntaxUID (0002,0010); export the file again"
        )
    if syntax not in _UNCOMPRESSED:
        raise ReadError(
            ReadErrorReason.COMPRESSED,
            f"expected an uncompressed transfer syntax, found {syntax}; export the file without compression",
        )


def _check_supported(dataset: pydicom.Dataset) -> None:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise ReadError(
            ReadErrorReason.NO_PIXELS,
            f"the object of modality {dataset.get('Modality')} has no rows or columns; export image objects only",
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise ReadError(
            ReadErrorReason.MULTI_FRAME,
            f"expected one frame, found {dataset.NumberOfFrames}; export one file for each frame",
        )
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ReadError(
            ReadErrorReason.BURNED_IN_ANNOTATIONS,
            "BurnedInAnnotation (0028,0301) is YES; export the image without annotations in its pixels",
        )
    photometric_interpretation = str(dataset.get("PhotometricInterpretation") or "")
    interpretations = sorted(_COLOUR_INTERPRETATIONS | {"MONOCHROME1", "MONOCHROME2"})
    if photometric_interpretation not in interpretations:
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            f"PhotometricInterpretation (0028,0004): expected one of {', '.join(interpretations)}, "
            f"found {photometric_interpretation!r}; export the image in one of these",
        )
    if "ModalityLUTSequence" in dataset:
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            "the file has a ModalityLUTSequence (0028,3000); export the image with RescaleSlope and RescaleIntercept",
        )
    channels = int(dataset.get("SamplesPerPixel") or 1)
    check_size((int(dataset.Rows), int(dataset.Columns), channels), int(dataset.get("BitsAllocated") or 8) // 8 or 1)


def _read_slice(path: Path) -> Slice:
    _check_transfer_syntax(path)
    dataset = pydicom.dcmread(path)
    _check_supported(dataset)
    return Slice(
        pixels=_decode_pixels(dataset),
        spacing=_read_numbers(dataset, "PixelSpacing", 2)
        or _read_numbers(dataset, "ImagerPixelSpacing", 2)
        or (1.0, 1.0),
        position=_read_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_read_numbers(dataset, "ImageOrientationPatient", 6),
        number=int(dataset.get("InstanceNumber") or 0),
        thickness=float(dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness") or 1.0),
    )


def _read_numbers(dataset: pydicom.Dataset, name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    return tuple(float(number) for number in value) if value is not None and len(value) == count else None


def _decode_pixels(dataset: pydicom.Dataset) -> Pixels:
    """Returns colour as RGB; grey after the modality rescale (DICOM PS3.3 C.11.1), larger values are brighter."""
    stored_pixels = pixel_array(dataset)
    if stored_pixels.ndim == 3 or stored_pixels.dtype.kind == "f":
        return stored_pixels
    low, high = _stored_range(dataset, stored_pixels)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored_pixels = (low + high - stored_pixels.astype(np.int64)).astype(stored_pixels.dtype)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return _rescale(stored_pixels, low, high, slope=slope, intercept=intercept)


def _stored_range(dataset: pydicom.Dataset, stored_pixels: Pixels) -> tuple[int, int]:
    """Returns the range of values according to ``BitsStored``, widened where the pixels exceed it."""
    bits, signed = int(dataset.get("BitsStored") or dataset.BitsAllocated), bool(dataset.get("PixelRepresentation"))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return min(low, int(stored_pixels.min())), max(high, int(stored_pixels.max()))


def _rescale(stored_pixels: Pixels, low: int, high: int, slope: float, intercept: float) -> Pixels:
    """Returns integers where that is exact. The range of the header, not of the pixels, determines their type."""
    if slope == 1 and intercept == 0:
        return stored_pixels
    if slope.is_integer() and intercept.is_integer() and slope != 0:
        value_range = sorted((low * int(slope) + int(intercept), high * int(slope) + int(intercept)))
        if kind := integer_type(*value_range):
            return (stored_pixels.astype(np.int64) * int(slope) + int(intercept)).astype(kind)
    return np.asarray(stored_pixels.astype(np.float64) * slope + intercept, np.float32)
