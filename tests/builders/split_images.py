"""Images with a faint bar, of patients with declared splits, as one NPZ file."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np


def split_images(sizes: Mapping[str, int], images_per_patient: int = 1, contrast: int = 40) -> bytes:
    """Returns the bytes of an NPZ file of images [16, 16]; every second patient has the class ``right``.

    Args:
        sizes: split (``train``, ``val``, ``test``, ``calibration``) -> number of patients.
        images_per_patient: all with the patient's class, and with a part of the noise in common.
        contrast: brightness of the bar of ``right``; 0 makes the classes equal.
    """
    generator = np.random.default_rng(0)
    split = np.array([name for name, size in sizes.items() for _ in range(size)])
    labels = np.arange(len(split)) % 2
    shape = (len(split), images_per_patient, 16, 16)
    shared_noise = np.broadcast_to(generator.integers(0, 80, (len(split), 1, 16, 16)), shape)
    images = (shared_noise + generator.integers(0, 80, shape)).astype(np.uint8)
    images[labels == 1, :, :, 5:9] += contrast
    rows = np.repeat(np.arange(len(split)), images_per_patient)
    file = BytesIO()
    np.savez(
        file,
        images=images.reshape(-1, 16, 16),
        labels=labels[rows],
        split=split[rows],
        groups=np.array([f"patient-{row}" for row in rows]),
        class_names=np.array(["left", "right"]),
    )
    return file.getvalue()
