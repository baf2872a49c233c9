"""Reader of single-frame, uncompressed DICOM: one file is an image, the slices of a series are a volume."""

import math
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from anamnesis.imaging.dicom_kinds import MEASURED_MODALITIES, check_object_kind, is_scout_plane
from anamnesis.imaging.dicom_pixels import decode_pixels
from anamnesis.imaging.errors import ReadError, ReadErrorReason, classify_error, translate_read_errors
from anamnesis.imaging.functional_groups import SEQUENCES, flatten_functional_groups
from anamnesis.imaging.generalised_attributes import generalise_attributes
from anamnesis.imaging.header import Header
from anamnesis.imaging.orientation import find_turns
from anamnesis.imaging.pixels import check_size
from anamnesis.imaging.volume import Slice, place_slice, slice_affine, stack_slices
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
_GREY_INTERPRETATIONS = {"MONOCHROME1", "MONOCHROME2"}
_SPACING_NAMES = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_HEADER_TAGS = [
    "SOPClassUID", "ImageType", "SeriesDescription", "BodyPartExamined",
    "Modality", "PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "Manufacturer",
    "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "SOPInstanceUID", "BurnedInAnnotation", "PhotometricInterpretation", "ModalityLUTSequence",
    "ImagePositionPatient", "ImageOrientationPatient", *_SPACING_NAMES, *SEQUENCES,
]  # fmt: skip


def read_header(path: Path) -> Header:
    """Returns the header of a file; reads no pixel.

    Projections, ultrasound images, photographs, and other images without a position are never stacked: their series
    holds views, not slices.

    Raises:
        ReadError: the file is unreadable or its kind of image is not supported.
    """
    with translate_read_errors():
        dataset = _read_dataset(path, header_only=True)
        modality, study = dataset.Modality, str(dataset.get("StudyInstanceUID") or "")
        series = str(dataset.get("SeriesInstanceUID") or "")
        is_slice = modality not in _UNSTACKED_MODALITIES and (
            modality in MEASURED_MODALITIES or bool(dataset.get("ImagePositionPatient"))
        )
        orientation = _read_numbers(dataset, "ImageOrientationPatient", 6) if modality == "CT" else None
        return Header(
            modality=modality,
            body_part=str(dataset.get("BodyPartExamined") or "").strip().upper(),
            patient=str(dataset.get("PatientID") or "").strip(),
            study=study,
            # Slices without the identifier of their series are one series of their study.
            series=f"{study}/{series}" if is_slice and (series or study) else "",
            instance=str(dataset.get("SOPInstanceUID") or ""),
            is_scout_plane=is_scout_plane(dataset, orientation),
            attributes=generalise_attributes(dataset),
        )


def load_image(paths: tuple[Path, ...]) -> Image:
    """Returns the image of one file, ``YX`` or ``YXC``, or the volume of a series, ``ZYX``, in patient orientation.

    Raises:
        ReadError: a file is unreadable, the slices are inconsistent, or a single slice is a scout.
    """
    with translate_read_errors():
        if len(paths) > 1:
            return stack_slices([_read_numbered_slice(number, path) for number, path in enumerate(paths)])
        dataset = _read_dataset(paths[0])
        image_slice = _to_slice(dataset)
        if is_scout_plane(dataset, image_slice.orientation):
            raise ReadError(
                ReadErrorReason.LOCALIZER,
                "the single slice of a CT is not axial, so it is a scout; nothing is to be done",
            )
        return place_slice(image_slice)


def load_slice(path: Path) -> Image:
    """Returns one slice of a series on its own, in patient orientation.

    Raises:
        ReadError: the file is unreadable.
    """
    with translate_read_errors():
        return place_slice(_to_slice(_read_dataset(path)))


def read_turns(path: Path) -> NDArray[np.float64] | None:
    """Returns how the single slice of a file was turned to patient orientation; none where it was not.

    Raises:
        ReadError: the file is unreadable.
    """
    with translate_read_errors():
        dataset = _read_dataset(path, header_only=True)
        affine = slice_affine(*_read_geometry(dataset))
        return None if affine is None else find_turns(affine)


def _read_dataset(path: Path, header_only: bool = False) -> pydicom.Dataset:
    """Returns the data set of a supported image."""
    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if not syntax:
        raise ReadError(
            ReadErrorReason.UNREADABLE, "the file has no TransferSyntaxUID (0002,0010); export the file again"
        )
    tags = _HEADER_TAGS if header_only else None
    # The pixels of a compressed file are never read, because their format is not supported.
    is_compressed = syntax not in _UNCOMPRESSED
    dataset = pydicom.dcmread(path, stop_before_pixels=header_only or is_compressed, specific_tags=tags)
    dataset.Modality = str(dataset.get("Modality") or "").strip().upper()
    try:
        _check_supported(dataset, syntax if is_compressed else "")
    except ReadError as error:
        raise ReadError(error.reason, error.detail, modality=dataset.Modality) from None
    return dataset


def _check_supported(dataset: pydicom.Dataset, compressed_syntax: str) -> None:
    if int(dataset.get("NumberOfFrames") or 1) == 1:
        flatten_functional_groups(dataset)
    check_object_kind(dataset)
    if compressed_syntax:
        raise ReadError(
            ReadErrorReason.COMPRESSED,
            f"expected an uncompressed transfer syntax, found {compressed_syntax}; export the file without compression",
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise ReadError(
            ReadErrorReason.MULTI_FRAME,
            f"expected one frame, found {dataset.NumberOfFrames}; export one file for each frame",
        )
    if not dataset.Modality:
        raise ReadError(ReadErrorReason.NO_MODALITY, "Modality (0008,0060) is empty; export the image again")
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ReadError(
            ReadErrorReason.BURNED_IN_ANNOTATIONS,
            "BurnedInAnnotation (0028,0301) is YES; export the image without annotations in its pixels",
        )
    _check_colours(dataset)
    if "ModalityLUTSequence" in dataset:
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            "the file has a ModalityLUTSequence (0028,3000); export the image with RescaleSlope and RescaleIntercept",
        )
    channels = int(dataset.get("SamplesPerPixel") or 1)
    check_size((int(dataset.Rows), int(dataset.Columns), channels), int(dataset.get("BitsAllocated") or 8) // 8 or 1)


def _check_colours(dataset: pydicom.Dataset) -> None:
    channels, bits = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("BitsAllocated") or 8)
    interpretations = {1: _GREY_INTERPRETATIONS, 3: _COLOUR_INTERPRETATIONS}.get(channels, set())
    interpretation = str(dataset.get("PhotometricInterpretation") or "")
    if interpretation not in interpretations or (channels == 3 and bits != 8):
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            f"expected {' or '.join(sorted(_GREY_INTERPRETATIONS))} with one channel, or "
            f"{' or '.join(sorted(_COLOUR_INTERPRETATIONS))} with three channels of 8 bits, found {interpretation!r} "
            f"with {channels} of {bits}; export the image in one of these",
        )


def _read_numbered_slice(number: int, path: Path) -> Slice:
    try:
        return _to_slice(_read_dataset(path))
    except ReadError as error:
        raise ReadError(error.reason, error.detail, number) from None
    except Exception as error:
        if reason := classify_error(error):
            raise ReadError(reason, f"{type(error).__name__}: {error}"[:500], number) from None
        raise


def _to_slice(dataset: pydicom.Dataset) -> Slice:
    position, orientation, spacing = _read_geometry(dataset)
    return Slice(
        pixels=decode_pixels(dataset),
        spacing=spacing,
        position=position,
        orientation=orientation,
        tilt=float(dataset.get("GantryDetectorTilt") or 0),
        kind=tuple(str(dataset.get(name) or "") for name in ("Modality", "Units", "FrameOfReferenceUID")),
    )


def _read_geometry(
    dataset: pydicom.Dataset,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, tuple[float, ...] | None]:
    """Returns position, orientation and spacing; none where the header has no value."""
    spacings = [numbers for name in _SPACING_NAMES if (numbers := _read_numbers(dataset, name, 2))]
    orientation = _read_numbers(dataset, "ImageOrientationPatient", 6)
    if orientation is not None:
        directions = np.array(orientation).reshape(2, 3)
        if not np.allclose(directions @ directions.T, np.eye(2), atol=1e-2):
            raise ReadError(
                ReadErrorReason.NO_ORIENTATION,
                f"ImageOrientationPatient (0020,0037): expected two directions at a right angle, "
                f"found {list(orientation)}; export the image again",
            )
    spacing = spacings[0] if spacings else None
    if spacing and min(spacing) <= 0:
        raise ReadError(
            ReadErrorReason.UNUSABLE_SPACING,
            f"expected positive numbers of millimetres between pixels, found {list(spacing)}; export the image again",
        )
    return _read_numbers(dataset, "ImagePositionPatient", 3), orientation, spacing


def _read_numbers(dataset: pydicom.Dataset, name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    if value is None or value == "" or (not isinstance(value, float | int) and len(value) == 0):
        return None
    numbers = tuple(float(number) for number in ([value] if isinstance(value, float | int | str) else value))
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ReadError(
            ReadErrorReason.UNREADABLE,
            f"{name}: expected {count} numbers, found {list(numbers)}; export the image again",
        )
    return numbers
