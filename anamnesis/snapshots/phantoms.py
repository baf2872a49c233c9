"""Small synthetic sites of DICOM files, for demonstrations and tests without real images.

Their headers have the names of people who do not exist, as complete as in a hospital, to test the pseudonymisation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from anamnesis.records import InputError, SiteConfig, Task, TaskType

Floats = NDArray[np.floating[Any]]

SIZE = 64
IMAGES_PER_PATIENT = 2

_FAMILY_NAMES = ("Rossi", "Okafor", "Lindqvist", "Yamamoto", "Fernandes", "Kowalska", "Haddad", "Nguyen")
_GIVEN_NAMES = ("Maria", "Chidi", "Astrid", "Kenji", "Beatriz", "Zofia", "Samir", "Linh")
_PHANTOM_VENDORS = ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips Medical Systems")


@dataclass(frozen=True, slots=True)
class PhantomKind:
    """One kind of phantom.

    Attributes:
        modality: DICOM code.
        storage: SOP class UID.
        classes: names of the classes.
        draw: (class of each image [N], generator) -> values in [0, 1], [N, SIZE, SIZE] or [N, SIZE, SIZE, 3].
        intercept: intercept of the modality rescale.
    """

    modality: str
    storage: str
    classes: tuple[str, ...]
    draw: Callable[[NDArray[np.int64], np.random.Generator], Floats]
    intercept: int = 0


def write_phantom_site(folder: Path, kind: str, patients: int, seed: int) -> SiteConfig:
    """Writes the files of a site, ``<folder>/<class>/IM000000`` and so on, and returns the settings of the site.

    Args:
        folder: the folder; it is created if necessary.
        kind: ``xray``, ``ct``, ``mr`` or ``microscopy``.
        patients: number of patients; each has one class and two images. With fewer than 40 for each class, the test
            set may lack a class.
        seed: equal seeds write equal bytes.

    Raises:
        InputError: the kind does not exist.
    """
    if kind not in KINDS:
        raise InputError(f"phantom {kind!r} does not exist; choose one of {', '.join(KINDS)}")
    spec = KINDS[kind]
    generator = np.random.default_rng([seed, list(KINDS).index(kind)])
    labels = np.repeat(np.arange(patients) % len(spec.classes), IMAGES_PER_PATIENT)
    images = spec.draw(labels, generator)
    anatomy = _draw_anatomy(len(labels), generator)
    images = np.clip(images + (anatomy[..., None] if images.ndim == 4 else anatomy), 0, 1)
    for name in spec.classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
    patient_headers = [_patient_header(number, generator) for number in range(patients)]
    for number, (label, image) in enumerate(zip(labels, images, strict=True)):
        dataset = _image_dataset(
            spec, image, f"{kind}-{seed}-{number}", is_inverted=spec.modality == "DX" and number % 2 == 1
        )
        dataset.update(patient_headers[number // IMAGES_PER_PATIENT])
        dataset.save_as(folder / spec.classes[label] / f"IM{number:06d}", enforce_file_format=True)
    task = Task(f"phantom-{kind}", TaskType.CLASSIFICATION, spec.classes)
    return SiteConfig(f"phantom-{kind}", folder.absolute().as_uri(), (spec.modality,), task)


def _patient_header(number: int, generator: np.random.Generator) -> Dataset:
    family_index, given_index, vendor_index, year = generator.integers([8, 8, 3, 70]).tolist()
    header = Dataset()
    header.PatientName = f"{_FAMILY_NAMES[family_index]}^{_GIVEN_NAMES[given_index]}"
    header.PatientID = f"SANLUCA-{generator.integers(10**6):06d}-{number}"
    header.PatientBirthDate = f"{1930 + year}0{1 + year % 9}17"
    header.PatientSex = "FM"[given_index % 2]
    header.PatientAddress = f"Via Garibaldi {1 + year}, Lucca"
    header.StudyDate, header.StudyTime = "20240319", "101500"
    header.AccessionNumber = f"ACC{generator.integers(10**8):08d}"
    header.InstitutionName = "Ospedale San Luca"
    header.ReferringPhysicianName = "Bianchi^Paolo"
    header.Manufacturer = _PHANTOM_VENDORS[vendor_index]
    header.StudyInstanceUID = generate_uid(entropy_srcs=[header.PatientID, header.AccessionNumber])
    block = header.private_block(0x0011, "SANLUCA ARCHIVE", create=True)
    block.add_new(0x01, "LO", f"ward 7, bed {number}, {header.PatientName}")
    return header


def _image_dataset(spec: PhantomKind, image: Floats, name: str, is_inverted: bool) -> Dataset:
    """Returns pixels with their header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(spec.storage), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = spec.storage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", name])
    dataset.Modality, dataset.InstanceNumber = spec.modality, 1
    dataset.Rows = dataset.Columns = SIZE
    dataset.PixelSpacing = [0.8, 0.8]
    is_colour = image.ndim == 3
    bits = 8 if is_colour else 12
    stored_values = np.round(image * (2**bits - 1)).astype(np.uint8 if is_colour else np.uint16)
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME1" if is_inverted else "MONOCHROME2"
    if is_colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = stored_values.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = 0
    if spec.intercept:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, spec.intercept, "HU"
    dataset.add_new(
        0x7FE00010,
        "OB" if is_colour else "OW",
        (2**bits - 1 - stored_values if is_inverted else stored_values).tobytes(),
    )
    return dataset


def _disc(y: object, x: object, radius: object, edge_width: float = 0.05, stretch: float = 1.0) -> Floats:
    """Returns soft discs [N, SIZE, SIZE]; centre and radius in [-1, 1] are numbers or [N], ``stretch`` is vertical."""
    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    centre_y, centre_x, radii = (np.reshape(np.asarray(value, np.float32), (-1, 1, 1)) for value in (y, x, radius))
    distance = np.hypot((axis[:, None] - centre_y) / stretch, axis[None, :] - centre_x)
    return np.asarray(1 / (1 + np.exp(np.clip((distance - radii) / edge_width, -30, 30))), np.float32)


def _noise(shape: tuple[int, ...], generator: np.random.Generator, scale: float = 0.03) -> Floats:
    return scale * generator.standard_normal(shape, np.float32)


def _add_lesion(image: Floats, lesion: Floats, labels: NDArray[np.int64]) -> Floats:
    """Adds the lesion to the images of the second class."""
    return np.asarray(image + lesion * labels[:, None, None], np.float32)


def _select_by_class(labels: NDArray[np.int64], *options: Floats) -> Floats:
    """Returns for each image the option of its class."""
    return np.stack(options)[labels, np.arange(len(labels))]


def _uniform_jitter(
    count: int, generator: np.random.Generator, centre: float, half_width: float
) -> NDArray[np.float64]:
    return generator.uniform(centre - half_width, centre + half_width, count)


def _draw_anatomy(count: int, generator: np.random.Generator) -> Floats:
    """Returns smooth structures of three sizes, so that two patients differ as people do: [N, SIZE, SIZE]."""
    structures = np.zeros((count, SIZE, SIZE))
    for cells in (4, 8, 16):
        positions = (np.arange(SIZE) + 0.5) * cells / SIZE
        weights = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(cells) - 0.5))
        structures += weights @ generator.standard_normal((count, cells, cells)) @ weights.T
    return 0.06 / 3**0.5 * structures


def _draw_xray(labels: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """A bright chest with two dark lungs; the second class has a hazy opacity in one of them."""
    n, lung = len(labels), _uniform_jitter(len(labels), generator, 0.42, 0.04)
    image = 0.85 - 0.5 * (_disc(0, -lung, 0.3, stretch=2) + _disc(0, lung, 0.3, stretch=2))
    lesion_x = np.where(generator.random(n) < 0.5, -lung, lung)
    haze = _disc(_uniform_jitter(n, generator, 0.1, 0.25), lesion_x, 0.22, edge_width=0.08)
    return _add_lesion(image, 0.45 * haze, labels) + _noise(image.shape, generator)


def _draw_ct(labels: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """An axial slice, stored values of Hounsfield units + 1024; the second class has a dense nodule in a lung."""
    n, lung = len(labels), _uniform_jitter(len(labels), generator, 0.38, 0.04)
    body = _disc(0, 0, _uniform_jitter(n, generator, 0.85, 0.05), edge_width=0.02, stretch=0.75)
    lungs = _disc(0, -lung, 0.26, edge_width=0.02, stretch=1.4) + _disc(0, lung, 0.26, edge_width=0.02, stretch=1.4)
    image = 0.006 + 0.254 * body - 0.2 * lungs + 0.15 * _disc(0.5, 0, 0.1, edge_width=0.02)
    lesion_x = np.where(generator.random(n) < 0.5, -lung, lung)
    nodule = _disc(
        _uniform_jitter(n, generator, 0, 0.15), lesion_x, _uniform_jitter(n, generator, 0.12, 0.02), edge_width=0.02
    )
    return _add_lesion(image, 0.35 * nodule, labels) + _noise(image.shape, generator, 0.008)


def _draw_mr(labels: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """A head; a ring inside one half, a bright cap at the rim, or a small bright dot in the middle."""
    n = len(labels)
    image = 0.35 * _disc(0, 0, 0.8, stretch=1.1) + 0.4 * (
        _disc(0, 0, 0.85, stretch=1.1) - _disc(0, 0, 0.75, stretch=1.1)
    )
    y, x = _uniform_jitter(n, generator, -0.1, 0.15), np.where(generator.random(n) < 0.5, -0.35, 0.35)
    ring = 0.5 * (_disc(y, x, 0.26) - 1.4 * _disc(y, x, 0.14))
    cap = 0.5 * _disc(_uniform_jitter(n, generator, -0.65, 0.05), x, 0.2)
    dot = 0.6 * _disc(_uniform_jitter(n, generator, 0.2, 0.05), _uniform_jitter(n, generator, 0, 0.05), 0.12)
    return image + _select_by_class(labels, ring, cap, dot) + _noise(image.shape, generator)


def _draw_microscopy(labels: NDArray[np.int64], generator: np.random.Generator) -> Floats:
    """A pink smear with a pale red cell, a purple cell of several lobes, or a few small dark grains."""
    n = len(labels)
    y, x = _uniform_jitter(n, generator, 0, 0.2), _uniform_jitter(n, generator, 0, 0.2)
    red_cell = _disc(y, x, 0.4) - 0.5 * _disc(y, x, 0.2)
    lobes = np.clip(sum(_disc(y + dy, x + dx, 0.25) for dy, dx in ((-0.2, 0), (0.15, 0.2), (0.15, -0.2))), 0, 1)
    grains = np.clip(
        sum(
            _disc(_uniform_jitter(n, generator, 0, 0.6), _uniform_jitter(n, generator, 0, 0.6), 0.08) for _ in range(5)
        ),
        0,
        1,
    )
    mask = _select_by_class(labels, red_cell, lobes, grains)[..., None]
    inks: Floats = np.array([[0.85, 0.45, 0.45], [0.4, 0.2, 0.6], [0.35, 0.2, 0.4]], np.float32)
    stains = inks[labels][:, None, None, :]
    pink: Floats = np.array([0.95, 0.85, 0.88], np.float32)
    return pink + mask * (stains - pink) + _noise((n, SIZE, SIZE, 3), generator, 0.02)


KINDS = {
    "xray": PhantomKind("DX", "1.2.840.10008.5.1.4.1.1.1.1", ("normal", "opacity"), _draw_xray),
    "ct": PhantomKind("CT", "1.2.840.10008.5.1.4.1.1.2", ("normal", "nodule"), _draw_ct, intercept=-1024),
    "mr": PhantomKind("MR", "1.2.840.10008.5.1.4.1.1.4", ("ring", "cap", "dot"), _draw_mr),
    "microscopy": PhantomKind("GM", "1.2.840.10008.5.1.4.1.1.77.1.2", ("red", "lobed", "grains"), _draw_microscopy),
}
