"""Floors that learn little: a ridge on grey-level histograms; and one hard site by five folds over its patients.

``python -m benchmarks.sites224 floors`` writes both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold

from anamnesis.methods import PredictionRequest, TaskContext, build_method
from anamnesis.records import Configuration, NetworkSettings, Split, TrainingSettings
from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for, train
from anamnesis.training.split_arrays.rows import MappedImages, batches_of, to_unit
from anamnesis.updates.pretrained import read_pretrained_file
from benchmarks.sites224.prepared import PreparedSite, prepare_site
from benchmarks.sites224.setting import ALL_FROZEN, readme_configuration
from benchmarks.sites224.sites import SITES, WORK_FOLDER, ingest_entry

BINS, FOLDS, FOLD_SITE, BATCH = 32, 5, "sts_ct", 64
"""Bins, colours and the square root were chosen by folds over training patients of all six sites."""
STRENGTHS = tuple(10.0**power for power in range(-4, 5))
Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Floors:
    """Balanced accuracies.

    Attributes:
        histograms: by site, of a ridge on histograms of the training images, on the test images.
        folds: by row, of each fold over all patients of ``FOLD_SITE``.
    """

    histograms: Mapping[str, float]
    folds: Mapping[str, tuple[float, ...]]


def measure_floors(folder: Path = WORK_FOLDER) -> Floors:
    """Returns the floors."""
    network = readme_configuration().network
    sites = {name: prepare_site(ingest_entry(entry, folder), network, False, folder) for name, entry in SITES.items()}
    histograms = {
        name: _histogram_accuracy(
            site.train.images, site.train.labels.numpy(), site.held_out.images, site.held_out.labels.numpy()
        )
        for name, site in sites.items()
    }
    return Floors(histograms, _fold_accuracies(sites[FOLD_SITE]))


def _histogram_accuracy(train: Array, train_labels: Array, test: Array, test_labels: Array) -> float:
    model = RidgeClassifierCV(alphas=STRENGTHS, class_weight="balanced")
    model.fit(_histograms(train), train_labels)
    return round(float(balanced_accuracy_score(test_labels, model.predict(_histograms(test)))), 4)


def _histograms(images: Array) -> npt.NDArray[np.float64]:
    """Returns square roots of the shares of grey values [N, C * ``BINS``] of images [N, C, H, W]."""
    bins = images.reshape(*images.shape[:2], -1) // (256 // BINS)
    shares = np.stack([(bins == number).mean(2) for number in range(BINS)], axis=2)
    roots: npt.NDArray[np.float64] = np.sqrt(shares.reshape(len(images), -1))
    return roots


def _fold_accuracies(site: PreparedSite) -> dict[str, tuple[float, ...]]:
    images = np.concatenate([np.asarray(site.train.images), np.asarray(site.held_out.images)])
    labels = torch.cat([site.train.labels, site.held_out.labels]).numpy()
    patients = np.concatenate([site.train.patients.numpy(), site.held_out.patients.numpy() + 1000])
    rows: dict[str, list[float]] = {}
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(images, labels, patients)
    for train_rows, test_rows in folds:
        parts = (images[train_rows], labels[train_rows], images[test_rows], labels[test_rows])
        rows.setdefault("histograms, ridge", []).append(_histogram_accuracy(*parts))
        for name, configuration in _fold_configurations():
            rows.setdefault(name, []).append(_learned_accuracy(site, configuration, patients[train_rows], *parts))
    return {name: tuple(values) for name, values in rows.items()}


def _fold_configurations() -> Iterator[tuple[str, Configuration]]:
    example = readme_configuration()
    training: TrainingSettings = replace(example.training, learning_rate=3e-4)
    frozen: NetworkSettings = replace(example.network, frozen=ALL_FROZEN)
    yield "frozen_ridge", Configuration("frozen_ridge", {}, frozen, training)
    yield "finetune, stages 1-4 frozen", Configuration("finetune", {}, example.network, training)


def _learned_accuracy(
    site: PreparedSite,
    configuration: Configuration,
    patients: Array,
    train_images: Array,
    train_labels: Array,
    test_images: Array,
    test_labels: Array,
) -> float:
    task, settings = site.site.task, configuration.training
    streams = RandomStreams(settings.seed, site.name)
    context = TaskContext(
        task=task,
        site=site.name,
        labels=task.labels,
        class_indices=tuple(range(len(task.labels))),
        other_sites={},
        is_returning=False,
        settings=settings,
        streams=streams,
    )
    numbers = torch.from_numpy(np.unique(patients, return_inverse=True)[1])
    targets = {"class": torch.from_numpy(train_labels), "patient": numbers}
    names = tuple(map(str, range(len(train_labels))))
    split = TensorSplit({site.site.entry.modality: MappedImages(train_images)}, targets, names)
    method, precision = build_method(configuration), precision_for(configuration, "cpu")
    method.load_pretrained(read_pretrained_file(configuration.network).tensors)
    train(method, context, SplitData({Split.TRAIN: split}, settings, streams, precision), precision)
    answers = [
        method.predict(to_unit(batch), PredictionRequest()).logits
        for batch in batches_of(torch.from_numpy(test_images), BATCH)
    ]
    predicted = torch.cat([logits.argmax(1) for logits in answers if logits is not None])
    return round(float(balanced_accuracy_score(test_labels, predicted.numpy())), 4)
