import time

import numpy as np
import pydicom
import pytest

from anamnesis.imaging import read
from anamnesis.records import InputError
from anamnesis.snapshots.phantoms import IMAGES_PER_PATIENT, KINDS, write_phantom_site


def _images(folder, spec):
    """Images in [0, 1] and their classes."""
    pixels, labels = [], []
    for index, name in enumerate(spec.classes):
        for path in sorted((folder / name).iterdir()):
            image = read(path)[0].image.pixels.astype(np.float32)
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


@pytest.mark.parametrize("kind", list(KINDS))
def test_classes_can_be_learned_and_are_not_given_away_by_anything_else(kind, tmp_path):
    spec = KINDS[kind]
    config = write_phantom_site(tmp_path, kind, 90, 3)
    assert (config.modalities, config.task.classes) == ((spec.modality,), spec.classes)
    images, labels = _images(tmp_path, spec)
    assert len(images) == 90 * IMAGES_PER_PATIENT
    features, fit = _features(images), np.arange(len(labels)) % 3 > 0
    answers = np.eye(len(spec.classes))[labels]
    weights = np.linalg.solve(
        features[fit].T @ features[fit] + np.eye(features.shape[1]), features[fit].T @ answers[fit]
    )  # ridge regression: a small network does better
    assert np.mean((features[~fit] @ weights).argmax(1) == labels[~fit]) > 0.85
    shuffled = np.random.default_rng(0).permutation(answers[fit])
    chance = np.linalg.solve(features[fit].T @ features[fit] + np.eye(features.shape[1]), features[fit].T @ shuffled)
    assert np.mean((features[~fit] @ chance).argmax(1) == labels[~fit]) < 0.75


def test_equal_seeds_write_equal_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_phantom_site(tmp_path / name, "ct", 4, seed)
    files = {name: [p.read_bytes() for p in sorted((tmp_path / name).rglob("IM*"))] for name in "abc"}
    assert files["a"] == files["b"] != files["c"]


def test_400_files_in_two_seconds(tmp_path):
    start = time.process_time()
    write_phantom_site(tmp_path, "mr", 200, 0)
    assert time.process_time() - start < 2 * 2  # room for a busy machine


def test_headers_are_those_of_valid_files_with_people_in_them(tmp_path):
    write_phantom_site(tmp_path, "ct", 2, 0)
    dataset = pydicom.dcmread(tmp_path / "nodule" / "IM000002")
    assert dataset.SOPClassUID.name == "CT Image Storage"
    assert dataset.pixel_array.shape == (64, 64)
    assert "^" in str(dataset.PatientName)
    hounsfield = read(tmp_path / "nodule" / "IM000002")[0].image.pixels
    assert (hounsfield.dtype, hounsfield[0, 0] < -900) == (np.int16, True)


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(InputError, match="'pet': known are xray"):
        write_phantom_site(tmp_path, "pet", 2, 0)
