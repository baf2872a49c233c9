"""Predictions and saliency maps of a method on the held-out images of all sites after an update."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anamnesis.evaluation.saliency import (
    energy_in_mask,
    explain_classes,
    faithfulness,
    map_retention,
    pointing_game,
    same_class_iou,
)
from anamnesis.methods import PredictionRequest
from anamnesis.methods.classification import restrict_logits
from anamnesis.records import find_class_indices
from anamnesis.records.metric_names import DELETION_ADVANTAGE
from anamnesis.training import TensorSplit
from anamnesis.training.split_arrays.rows import batches_of
from benchmarks.scoreboard.learning import LearnedMethod, split_of
from benchmarks.scoreboard.sites import BenchmarkSite

BATCH = 64
"""Images at a time; larger intermediate results cost more in page faults than they save."""
PROBE_IMAGES = 100
"""Held-out images of each site whose saliency maps are compared."""


@dataclass(frozen=True, slots=True)
class HeldOutPredictions:
    """The predictions of a method on one site's held-out images.

    Attributes:
        class_right: [N] bool; all classes seen so far compete.
        task_right: [N] bool; only the site's own classes compete.
        site_right: [N] bool; the winner among all classes is one of the site's own.
        groups: [N] number of the patient.
    """

    class_right: Tensor
    task_right: Tensor
    site_right: Tensor
    groups: Tensor

    def by_patient(self) -> dict[str, list[int]]:
        """Returns the number of images of each patient, and of the correct predictions."""
        counts = {"images": torch.ones_like(self.groups), "class": self.class_right, "task": self.task_right}
        patients = int(self.groups.max()) + 1
        empty = torch.zeros(patients, dtype=torch.long)
        totals = {name: empty.index_add(0, self.groups, value.long()) for name, value in counts.items()}
        has_images = totals["images"] > 0
        return {name: value[has_images].tolist() for name, value in totals.items()}


def predict_held_out(learned_method: LearnedMethod, site: BenchmarkSite) -> HeldOutPredictions:
    """Returns the predictions of the method on a site's held-out images."""
    held_out = site.held_out
    split = split_of(site, held_out, learned_method.labels)
    columns = find_class_indices(site.task, learned_method.labels)
    chunks = []
    for images in batches_of(split.images, BATCH):
        logits = learned_method.method.predict(images.float(), PredictionRequest()).logits
        task_logits = learned_method.method.predict(images.float(), PredictionRequest(columns)).logits
        assert logits is not None
        assert task_logits is not None
        chunks.append(torch.stack([logits.argmax(1), restrict_logits(task_logits, columns).argmax(1)]))
    class_predictions, task_predictions = torch.cat(chunks, dim=1)
    return HeldOutPredictions(
        class_right=class_predictions == split.classes,
        task_right=task_predictions == split.classes,
        site_right=torch.isin(class_predictions, torch.tensor(columns)),
        groups=held_out.groups,
    )


def learned_maps(learned_method: LearnedMethod, site: BenchmarkSite) -> Tensor | None:
    """Returns the maps [n, h, w] of the true class on the site's probes, in what learns; none where nothing learns."""
    split, columns = _probes(learned_method, site)
    maps = explain_classes(learned_method.method, split.images[:].float(), split.classes, columns)
    return maps.learned if maps else None


def measure_faithfulness(learned_method: LearnedMethod, site: BenchmarkSite) -> dict[str, float]:
    """Returns the deletion by the maps of the answers on the site's probes, as evaluations of a version do.

    Empty where the method has no maps; ``Low`` and ``High`` are the 95 % interval of the advantage, over patients.
    """
    split, columns = _probes(learned_method, site)
    images = split.images[:].float()

    def answer(frames: Tensor) -> Tensor:
        logits = learned_method.method.predict(frames, PredictionRequest(columns)).logits
        assert logits is not None
        return logits.float().softmax(1)

    answers = answer(images).argmax(1)
    maps = explain_classes(learned_method.method, images, answers, columns)
    if maps is None:
        return {}
    patients = [str(group) for group in site.held_out.groups[:PROBE_IMAGES].tolist()]
    metrics = faithfulness(answer, images, answers, maps=maps.whole, patients=patients)
    advantage = metrics[DELETION_ADVANTAGE]
    ends = {} if advantage.low is None or advantage.high is None else {"Low": advantage.low, "High": advantage.high}
    return {name: float(value) for name, value in ({name: m.value for name, m in metrics.items()} | ends).items()}


def _probes(learned_method: LearnedMethod, site: BenchmarkSite) -> tuple[TensorSplit, tuple[int, ...]]:
    """Returns the first held-out images of a site, and the columns of its classes."""
    split = split_of(site, site.held_out, learned_method.labels)
    rows = slice(PROBE_IMAGES)
    probes = TensorSplit.of_images(split.images[rows], split.classes[rows], split.sample_ids[rows])
    return probes, find_class_indices(site.task, learned_method.labels)


@dataclass(frozen=True, slots=True)
class Saliency:
    """Saliency on an earlier site's images, after its own update and after the last.

    Attributes:
        retention: ``IoU``, ``SSIM``, ``Cosine`` and ``Spearman`` between the two.
        other: ``IoU`` of the maps of two patients of one class, both after the own update, and its 95th percentile,
            ``IoU95``.
        focus: energy in the tumour's mask and pointing game, after the own update and after the last, with the share
            of the image that the mask covers; empty where there are no masks.
        images: that had any evidence to keep.
        pixels: of a map.
    """

    retention: Mapping[str, float] = field(default_factory=dict)
    other: Mapping[str, float] = field(default_factory=dict)
    focus: Mapping[str, float] = field(default_factory=dict)
    images: int = 0
    pixels: int = 0


def compare_saliency(site: BenchmarkSite, maps_before: Tensor, maps_after: Tensor) -> Saliency:
    """Compares the maps of a site's probes after its own update with those after the last."""
    retention_metrics = map_retention(maps_before, maps_after)
    patients = [str(group) for group in site.held_out.groups[:PROBE_IMAGES].tolist()]
    same_class = same_class_iou(maps_before, site.held_out.labels[:PROBE_IMAGES], patients)
    return Saliency(
        retention={name: float(metric.value) for name, metric in retention_metrics.items()},
        other={name.replace("SameClass", ""): float(metric.value) for name, metric in same_class.items()},
        focus=_measure_focus(site, maps_before, maps_after),
        images=retention_metrics["IoU"].n if retention_metrics else 0,
        pixels=maps_before[0].numel(),
    )


def _measure_focus(site: BenchmarkSite, maps_before: Tensor, maps_after: Tensor) -> dict[str, float]:
    if site.held_out.masks is None:
        return {}
    masks = site.held_out.masks[:PROBE_IMAGES]
    has_mask = masks.flatten(1).any(1)
    if not has_mask.any():
        return {}
    values = {"Area": float(masks[has_mask].float().mean())}
    for moment, maps in (("own", maps_before), ("last", maps_after)):
        values[f"Energy {moment}"] = float(energy_in_mask(maps[has_mask], masks[has_mask]).mean())
        values[f"Pointing {moment}"] = float(pointing_game(maps[has_mask], masks[has_mask]).float().mean())
    return {name: round(value, 6) for name, value in values.items()}
