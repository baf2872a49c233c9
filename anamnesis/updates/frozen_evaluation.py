"""What test sets say of a version: how much it still knows, and whether it still looks at the same places."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anamnesis.evaluation.metrics import classification_metrics, dice
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.methods import PredictRequest
from anamnesis.records import (
    Evaluation,
    InputError,
    Metric,
    Progress,
    Sample,
    SiteRef,
    Split,
    Task,
    TaskType,
    columns_of,
    digest_json,
    silent,
)
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import FORGETTING
from anamnesis.snapshots import Guard, open_test_set
from anamnesis.storage.store import open_store
from anamnesis.training import TensorSplit, numerics_for, tensors_of
from anamnesis.updates.model import Model, load_model

BATCH = 64  # larger maps are handed back to the system after each batch: the page faults took most of the time
EVALUATOR = digest_json({"name": FORGETTING, "revision": 1})


def evaluate_frozen(
    registry: str, version: str, sites: Sequence[SiteRef], progress: Progress = silent
) -> tuple[Evaluation, ...]:
    """Judges a version on the frozen test set of every site whose task it knows, and stores what was found.

    A test set that this evaluator has judged before is not opened again.

    Args:
        registry: URL of the model's registry.
        version: digest of the version.
        sites: with their stores and test sets.
        progress: called per site.
    """
    store = open_store(registry)
    found = {e.test_set: e for e in read_evaluations(store, version) if e.evaluator == EVALUATOR}
    todo = [site for site in sites if site.test_set not in found]
    model = load_model(store, version) if todo else None
    for done, site in enumerate(todo, start=1):
        if model and (probe := read_probe(model, site)):
            metrics = score(model, site.task, probe)
            evaluation = Evaluation(version, site.name, site.task.name, site.test_set, EVALUATOR, FORGETTING, metrics)
            found[site.test_set] = write_evaluation(store, evaluation)
        progress(done, len(todo), "test sets")
    return tuple(found[site.test_set] for site in sites if site.test_set in found)


@dataclass(frozen=True, slots=True)
class Probe:
    """Cases in memory, with the columns of their task."""

    split: TensorSplit
    columns: tuple[int, ...]


def read_probe(model: Model, site: SiteRef) -> Probe | None:
    """Reads a site's test set as the model sees it, or returns none where the model does not know the task."""
    if any(label not in model.description.labels for label in site.task.labels):
        return None
    guard = Guard({site.test_set: frozenset({Split.TEST})})
    return probe_of(model, site, open_test_set(open_store(site.store), site.test_set, guard))


def probe_of(model: Model, site: SiteRef, samples: Iterable[Sample]) -> Probe:
    """Returns a site's samples as the model sees them.

    Raises:
        InputError: there is none, or the model does not know the site's task.
    """
    labels = model.description.labels
    columns = columns_of(site.task, labels)
    split = tensors_of(samples, site.task, site.modality, labels, model.description.configuration.network)
    return Probe(split, columns)


def score(model: Model, task: Task, probe: Probe) -> dict[str, Metric]:
    """Returns what a version knows about the cases of a task, by metric.

    Raises:
        InputError: there is no evaluator for such a task, or the method gave no answer.
    """
    numerics = numerics_for(model.description.configuration)
    numerics.place(model.method.network)
    with numerics.applied(), numerics.autocast():
        if task.type is TaskType.CLASSIFICATION:
            logits = torch.cat(list(_logits(model, probe.split.images, numerics.device)))
            return classification_metrics(logits, probe.split.targets, probe.columns)
        if task.type is TaskType.SEGMENTATION:
            return _judge_masks(model, probe.split, numerics.device)
    raise InputError(f"task {task.name!r}: there is no evaluator for {task.type.value} yet")


def _logits(model: Model, images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for chunk in torch.split(images, BATCH):
        logits = model.method.predict(chunk.to(device, torch.float32), PredictRequest()).logits
        if logits is None:
            raise InputError(f"method {model.method.name!r} gave no logits for a classification task")
        yield logits.float().cpu()


def _judge_masks(model: Model, split: TensorSplit, device: torch.device) -> dict[str, Metric]:
    scores = []
    for images, masks in zip(torch.split(split.images, BATCH), torch.split(split.targets, BATCH), strict=True):
        logits = model.method.predict(images.to(device, torch.float32), PredictRequest()).mask
        if logits is None:
            raise InputError(f"method {model.method.name!r} gave no masks for a segmentation task")
        scores.append(dice(logits.argmax(1).cpu(), masks, logits.shape[1]).mean(1))
    return mean_metrics({"Dice": torch.cat(scores)}, torch.Generator().manual_seed(0))


def network_of(model: Model) -> Any:
    """Returns the network of a model whose saliency can be drawn, or none."""
    network = model.method.network
    return network if hasattr(network, "features") and hasattr(network, "classify") else None
