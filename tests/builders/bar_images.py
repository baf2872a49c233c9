"""Made-up images whose bright band tells the class, as one file in the layout of MedMNIST."""

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
    """Returns the bytes of an NPZ file of square images, one a patient; two of three patients train.

    Args:
        site: in the patients' names, so that no two sites share one.
        patients: how many.
        seed: of the noise; also in the patients' names.
        classes: up to three; each has its band.
        side: pixels.
        rows: whether the band lies instead of standing.
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
