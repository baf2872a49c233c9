"""Synthetic images with a bright band whose position is the class, as one NPZ file."""

from io import BytesIO

import numpy as np


def bar_images(
    site: str,
    patients: int = 24,
    seed: int = 0,
    classes: tuple[str, ...] = ("left", "right"),
    side: int = 16,
    rows: bool = False,
) -> bytes:
    """Returns the bytes of an NPZ file of square images, one for each patient; two of three patients are for training.

    Args:
        site: part of the patients' names, so that no two sites have the same patient.
        patients: number of patients.
        seed: seed of the noise; also part of the patients' names.
        classes: names of up to three classes; each has its own position of the band.
        side: height and width in pixels.
        rows: whether the band is horizontal.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(patients) % len(classes)
    images = generator.integers(0, 80, (patients, side, side), dtype=np.uint8)
    step = side // 3
    for image, label in zip(images, labels, strict=True):
        band = image if rows else image.T
        band[step * label : step * label + step - 1] += 120
    split = (np.arange(patients) // len(classes) % 3 == 0).astype(np.uint8)
    groups = np.array([f"{site}-{seed}-{number}" for number in range(patients)])
    file = BytesIO()
    np.savez(file, images=images, labels=labels, split=split, groups=groups, class_names=np.array(classes))
    return file.getvalue()
