"""Answers and saliency maps of a method on held-out images, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from anamnesis.evaluation.saliency import energy_in_mask, explain_classes, faithfulness, is_faithful
from anamnesis.evaluation.saliency.similarity import iou
from anamnesis.methods.base import Branch
from anamnesis.methods.classification import restrict_logits
from anamnesis.networks import evaluation_mode
from anamnesis.records import find_class_indices
from anamnesis.training.split_arrays.rows import batches_of, to_unit
from benchmarks.sites224.prepared import PreparedSite

BATCH, PROBES, DELETION_PROBES = 64, 64, 32
"""Images at a time; those of each site whose maps are compared; those on which deletion is measured."""
Scores = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One classifier of a learned method.

    Attributes:
        name: on the page.
        classifier: the method, or another answer of its network.
    """

    name: str
    classifier: Any

    @property
    def network(self) -> Any:
        """The network, which explaining puts in evaluation mode."""
        return self.classifier.network

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""
        return self.classifier.explained_features(images)  # type: ignore[no-any-return]

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K] of the features of each branch."""
        return self.classifier.answer_from(features)  # type: ignore[no-any-return]

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Returns logits [N, K] of images [N, C, H, W] in [0, 1]."""
        with evaluation_mode(self.network):
            return self.answer_from([branch.features for branch in self.explained_features(images)])


@dataclass(frozen=True, slots=True)
class SiteAnswers:
    """The answers to a site's held-out images.

    Attributes:
        class_right: [N] whether right where all classes seen so far compete.
        task_right: [N] whether right where only the site's classes compete: the site is known, or inferred.
        site_right: [N] whether the winner among all classes is one of the site's.
    """

    class_right: tuple[int, ...]
    task_right: tuple[int, ...]
    site_right: tuple[int, ...]


def answer_site(answer: Answer, site: PreparedSite, labels: tuple[str, ...]) -> SiteAnswers:
    """Returns the answers to all held-out images of a site."""
    columns = find_class_indices(site.site.task, labels)
    logits = torch.cat([answer.logits(to_unit(batch)) for batch in _batches(site)])
    targets = torch.tensor(columns)[site.held_out.labels]
    winners, task_winners = logits.argmax(1), restrict_logits(logits, columns).argmax(1)
    is_site = torch.isin(winners, torch.tensor(columns))
    rights = (winners == targets, task_winners == targets, is_site)
    return SiteAnswers(*(tuple(right.int().tolist()) for right in rights))


def balanced_accuracy(right: Sequence[int], labels: Tensor) -> float:
    """Returns the mean over the classes of the share of right answers."""
    values = torch.tensor(right, dtype=torch.float64)
    return float(torch.stack([values[labels == label].mean() for label in set(labels.tolist())]).mean())


@dataclass(frozen=True, slots=True)
class SiteMaps:
    """Maps on a site's probes.

    Attributes:
        learned: [n, h, w] of the true class, in what learns.
        energy: share of the energy of the whole map inside the contour, of each probe that has one.
    """

    learned: Tensor
    energy: tuple[float, ...] = field(default=())


def explain_site(answer: Answer, site: PreparedSite, labels: tuple[str, ...]) -> SiteMaps | None:
    """Returns the maps of the true class on a site's probes; none where nothing learns."""
    images, columns, targets = _probes(site, labels)
    maps = explain_classes(answer, images, targets, columns)
    if maps is None or maps.learned is None:
        return None
    masks = site.held_out.masks[probe_rows(site)] if len(site.held_out.masks) else torch.zeros(0)
    if not len(masks):
        return SiteMaps(maps.learned)
    has_mask = masks.flatten(1).any(1)
    energy = energy_in_mask(maps.whole[has_mask], masks[has_mask])
    return SiteMaps(maps.learned, tuple(round(value, 5) for value in energy.tolist()))


def retained_iou(before: Tensor, after: Tensor) -> tuple[float | None, ...]:
    """Returns the IoU of the most salient fifth of maps [n, h, w]; none where the map before has no evidence.

    Where only the map after has none, everything is lost: 0.
    """
    has_evidence, is_lost = before.flatten(1).any(1), ~after.flatten(1).any(1)
    values = iou(before, after).masked_fill(is_lost, 0.0)
    return tuple(
        round(value, 5) if is_counted else None
        for value, is_counted in zip(values.tolist(), has_evidence.tolist(), strict=True)
    )


def maps_are_faithful(answer: Answer, site: PreparedSite, labels: tuple[str, ...]) -> bool:
    """Returns whether deletion by the maps of the answers beats deletion at random, as evaluations judge it."""
    images, columns, _ = _probes(site, labels)
    images = images[:DELETION_PROBES]

    def probabilities(frames: Tensor) -> Tensor:
        return restrict_logits(answer.logits(frames), columns).float().softmax(1)

    winners = probabilities(images).argmax(1)
    maps = explain_classes(answer, images, winners, columns)
    assert maps is not None
    patients = [str(number) for number in site.held_out.patients[probe_rows(site)[:DELETION_PROBES]].tolist()]
    return is_faithful(faithfulness(probabilities, images, winners, maps=maps.whole, patients=patients))


def probe_rows(site: PreparedSite) -> Tensor:
    """Returns the rows of the held-out images that are explained: one of each patient, then second ones."""
    image_counts: dict[int, int] = {}
    order = []
    for row, patient in enumerate(site.held_out.patients.tolist()):
        order.append((image_counts.setdefault(patient, 0), row))
        image_counts[patient] += 1
    return torch.tensor([row for _, row in sorted(order)[:PROBES]])


def _probes(site: PreparedSite, labels: tuple[str, ...]) -> tuple[Tensor, tuple[int, ...], Tensor]:
    rows, columns = probe_rows(site), find_class_indices(site.site.task, labels)
    images = to_unit(torch.from_numpy(site.held_out.images[rows.numpy()]))
    return images, columns, torch.tensor(columns)[site.held_out.labels[rows]]


def _batches(site: PreparedSite) -> Any:
    return batches_of(torch.from_numpy(site.held_out.images), BATCH)
