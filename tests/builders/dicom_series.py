"""Writes small DICOM series."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage

_STORAGE = {"MR": MRImageStorage, "CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}
_UID_ROOT = "1.2.826.0.1.3680043.8.498"


def write_series(
    folder: Path, patient: int, slices: int = 4, modality: str = "MR", series: int = 1, **fields: object
) -> list[Path]:
    """Writes the slices of one series of one study of a patient; equal arguments write equal bytes.

    Args:
        folder: receives the files ``<modality><series>_<slice>.dcm``.
        patient: number of the patient.
        slices: number of slices.
        modality: ``MR``, ``CT`` or ``PT``.
        series: number of the series in the study.
        fields: further fields of each header.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{modality}{series}_{number}.dcm" for number in range(slices)]
    for number, path in enumerate(paths):
        seed = [patient, series, number, ord(modality[0])]
        pixels = np.random.default_rng(seed).integers(100, 1100, (16, 16)).astype(np.int16)
        _make_slice(pixels, patient, number, modality, series=series, fields=fields).save_as(
            path, enforce_file_format=True
        )
    return paths


def _make_slice(
    pixels: np.ndarray, patient: int, number: int, modality: str, series: int, fields: dict[str, object]
) -> pydicom.Dataset:
    study_uid = f"{_UID_ROOT}.{patient + 1}"
    series_uid = f"{study_uid}.{ord(modality[0])}.{series}"
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = _STORAGE[modality], f"{series_uid}.{number + 1}"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality, dataset.PatientID, dataset.InstanceNumber = modality, f"patient {patient}", number + 1
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5 * number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 5
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -600 if modality == "CT" else 0
    if modality == "CT":
        dataset.RescaleType = "HU"
    if modality == "PT":
        dataset.Units = "BQML"
    dataset.PixelData = pixels.tobytes()
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    return dataset
