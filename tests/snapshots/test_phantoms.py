import time

import numpy as np
import pydicom
import pytest

from anamnesis.imaging import load_slice
from anamnesis.records import InputError
from anamnesis.snapshots.phantoms import IMAGES_PER_PATIENT, KINDS, write_phantom_site


def _images(folder, spec):
    """Images in [0, 1] and their classes."""
    pixels, labels = [], []
    for index, name in enumerate(spec.classes):
        for path in sorted((folder / name).iterdir()):
            image = load_slice(path).pixels.astype(np.float32)
            pixels.append((image - image.min()) / np.ptp(image))
            labels.append(index)
    return np.stack(pixels), np.array(labels)


def _features(images):
    """Average brightness on a coarse grid, and the spread of brightness within each of its cells."""
    cells = images.reshape(len(images), 8, 8, 8, 8, -1)
    parts = [cells.mean((2, 4)), cells.std((2, 4)), cells.max((2, 4))]
    flat = np.concatenate([part.reshape(len(images), -1) for part in parts], 1)
    sorted_cells = np.sort(parts[0].mean(-1).reshape(len(images), -1), 1)
    return np.concatenate([flat, sorted_cells, np.ones((len(images), 1))], 1)


def _accuracy(features, labels):
    """Accuracy of ridge regression on every third image, fitted on the others: a small network does better."""
    fit, answers = np.arange(len(labels)) % 3 > 0, np.eye(labels.max() + 1)[labels]
    inner = features[fit] @ features[fit].T + np.eye(fit.sum())
    scores = features[~fit] @ features[fit].T @ np.linalg.solve(inner, answers[fit])
    return np.mean(scores.argmax(1) == labels[~fit])


@pytest.mark.parametrize("kind", list(KINDS))
def test_classes_can_be_learned(kind, tmp_path):
    spec = KINDS[kind]
    config = write_phantom_site(tmp_path, kind, 60, 3)
    assert (config.modalities, config.task.classes) == ((spec.modality,), spec.classes)
    images, labels = _images(tmp_path, spec)
    assert len(images) == 60 * IMAGES_PER_PATIENT
    features = _features(images)
    assert _accuracy(features, labels) > 0.85
    random = np.random.default_rng(0)
    by_chance = [_accuracy(features, random.permutation(labels)) for _ in range(10)]
    assert np.mean(by_chance) < 0.65


def test_equal_seeds_write_equal_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_phantom_site(tmp_path / name, "ct", 4, seed)
    files = {name: [p.read_bytes() for p in sorted((tmp_path / name).rglob("IM*"))] for name in "abc"}
    assert files["a"] == files["b"] != files["c"]


def test_100_files_take_less_than_a_second(tmp_path):
    start = time.process_time()
    write_phantom_site(tmp_path, "mr", 50, 0)
    assert time.process_time() - start < 1  # 0.2 on an idle machine


def test_headers_are_those_of_valid_files_with_people_in_them(tmp_path):
    write_phantom_site(tmp_path, "ct", 2, 0)
    dataset = pydicom.dcmread(tmp_path / "nodule" / "IM000002")
    assert dataset.SOPClassUID.name == "CT Image Storage"
    assert dataset.pixel_array.shape == (64, 64)
    assert "^" in str(dataset.PatientName)
    hounsfield = load_slice(tmp_path / "nodule" / "IM000002").pixels
    assert (hounsfield.dtype, hounsfield[0, 0] < -900) == (np.int16, True)


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(InputError, match="phantom 'pet' does not exist; choose one of xray"):
        write_phantom_site(tmp_path, "pet", 2, 0)
