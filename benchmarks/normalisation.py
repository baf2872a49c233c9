"""Batch and group normalisation of the small network at two learning rates, on held-out training patients."""

from collections.abc import Iterator

import torch
from torch import Tensor

from anamnesis.methods import Method, PredictionRequest, build_method
from anamnesis.methods.base import TaskContext
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    Split,
    TrainingSettings,
    find_class_indices,
    label_space,
)
from anamnesis.training import RandomStreams, SplitData, precision_for, train
from benchmarks.scoreboard.learning import split_of
from benchmarks.scoreboard.sequences import SEQUENCES
from benchmarks.scoreboard.sites import BenchmarkSite, HeldOut, data_folder, read_site

IMAGES, SIZE, EPOCHS = 400, 64, 6
FOLDERS, NORMS, RATES = ("ct_lung_iqoth", "cxr_kermany"), ("batch", "group"), (1e-3, 3e-3)


def run() -> list[dict[str, object]]:
    """Returns a row for each site, rate and normalisation."""
    torch.set_num_threads(1)
    return [
        {"site": site.name, "rate": rate, "norm": norm, "balanced accuracy": measure(site, norm, rate)}
        for site in _read_sites()
        for rate in RATES
        for norm in NORMS
    ]


def _read_sites() -> Iterator[BenchmarkSite]:
    entries = {entry.folder: entry for entry in SEQUENCES["modality"].entries}
    for folder in FOLDERS:
        yield read_site(data_folder(), entries[folder], HeldOut.VALIDATION, SIZE).take_first(IMAGES)


def measure(site: BenchmarkSite, norm: str, rate: float) -> float:
    """Returns the balanced accuracy on held-out training patients after a fixed budget."""
    settings, labels = TrainingSettings(epochs=EPOCHS, learning_rate=rate), label_space([site.task])
    network = NetworkSettings(size=(SIZE, SIZE), options={"norm": norm})
    configuration = Configuration("finetune", {}, network, settings)
    method, precision = build_method(configuration), precision_for(configuration, "cpu")
    context = TaskContext(
        task=site.task,
        site=site.name,
        labels=labels,
        class_indices=find_class_indices(site.task, labels),
        other_sites={},
        is_returning=False,
        settings=settings,
        streams=RandomStreams(settings.seed, "normalisation"),
    )
    data = SplitData({Split.TRAIN: split_of(site, site.train, labels)}, settings, context.streams, precision)
    train(method, context, data, precision)
    held_out = split_of(site, site.held_out, labels)
    return balanced_accuracy(predict(method, site.held_out.images), held_out.classes)


def predict(method: Method[object], images: Tensor) -> Tensor:
    """Returns the class [N] of images [N, C, H, W]."""
    chunks = (chunk.float().contiguous(memory_format=torch.channels_last) for chunk in torch.split(images, 100))
    logits = [method.predict(chunk, PredictionRequest()).logits for chunk in chunks]
    return torch.cat([values for values in logits if values is not None]).argmax(1)


def balanced_accuracy(predictions: Tensor, classes: Tensor) -> float:
    """Returns the mean recall of the classes."""
    recalls = [(predictions[classes == column] == column).float().mean() for column in classes.unique()]
    return float(torch.stack(recalls).mean())
