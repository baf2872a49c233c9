"""What a method knows of every site's held-out images after an update, and where it looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anamnesis.evaluation.saliency import another_of_its_class, energy_in_mask, grad_cam, pointing_game, retention
from anamnesis.methods import PredictRequest
from anamnesis.methods.classification import only
from anamnesis.records import columns_of
from benchmarks.scoreboard.learn import Learned, split_of
from benchmarks.scoreboard.sites import Site

BATCH = 64
"""Images at a time; larger intermediate results cost more in page faults than they save."""
PROBES = 100
"""Held-out images of each site whose saliency maps are compared."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a method answers on one site's held-out images.

    Attributes:
        class_right: [N] bool; every class met so far competes.
        task_right: [N] bool; only the site's own classes compete.
        site_right: [N] bool; the winner among all classes is one of the site's own.
        groups: [N] number of the patient.
    """

    class_right: Tensor
    task_right: Tensor
    site_right: Tensor
    groups: Tensor

    def by_patient(self) -> dict[str, list[int]]:
        """Returns the images of each patient, and how many of them were answered right."""
        counts = {"images": torch.ones_like(self.groups), "class": self.class_right, "task": self.task_right}
        patients = int(self.groups.max()) + 1
        empty = torch.zeros(patients, dtype=torch.long)
        found = {name: empty.index_add(0, self.groups, value.long()) for name, value in counts.items()}
        seen = found["images"] > 0
        return {name: value[seen].tolist() for name, value in found.items()}


def answers(learned: Learned, site: Site) -> Answers:
    """Asks the method about a site's held-out images."""
    held_out = site.held_out
    split = split_of(site, held_out, learned.labels)
    columns = columns_of(site.task, learned.labels)
    chunks = []
    for images in torch.split(split.images, BATCH):
        logits = learned.method.predict(images.float(), PredictRequest()).logits
        own = learned.method.predict(images.float(), PredictRequest(columns)).logits
        assert logits is not None
        assert own is not None
        chunks.append(torch.stack([logits.argmax(1), only(own, columns).argmax(1)]))
    everywhere, among_own = torch.cat(chunks, dim=1)
    return Answers(
        class_right=everywhere == split.targets,
        task_right=among_own == split.targets,
        site_right=torch.isin(everywhere, torch.tensor(columns)),
        groups=held_out.groups,
    )


def maps_of(learned: Learned, site: Site) -> Tensor | None:
    """Returns Grad-CAM maps [n, h, w] of the true class on the site's probes, or none where a method has no maps."""
    network = learned.method.network
    if not (hasattr(network, "features") and hasattr(network, "classify")):
        return None
    split = split_of(site, site.held_out, learned.labels)
    columns = columns_of(site.task, learned.labels)
    return grad_cam(network, split.images[:PROBES].float(), split.targets[:PROBES], columns)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Saliency:
    """Where a method looks on an old site's images, after its own update and after the last.

    Attributes:
        kept: ``IoU``, ``SSIM``, ``Cosine`` and ``Spearman`` between the two.
        other: the same between the map of an image and that of another of its class, both after the own update.
        focus: energy in the tumour's mask and pointing game, after the own update and after the last, with the share
            of the image that the mask covers; empty where there are no masks.
        images: that had any evidence to keep.
        pixels: of a map.
    """

    kept: Mapping[str, float] = field(default_factory=dict)
    other: Mapping[str, float] = field(default_factory=dict)
    focus: Mapping[str, float] = field(default_factory=dict)
    images: int = 0
    pixels: int = 0


def saliency(site: Site, before: Tensor, after: Tensor) -> Saliency:
    """Compares the maps of a site's probes after its own update with those after the last."""
    kept = retention(before, after)
    case, other = another_of_its_class(site.held_out.labels[:PROBES])
    return Saliency(
        kept={name: float(metric.value) for name, metric in kept.items()},
        other={name: float(metric.value) for name, metric in retention(before[case], before[other]).items()},
        focus=_focus(site, before, after),
        images=kept["IoU"].n if kept else 0,
        pixels=before[0].numel(),
    )


def _focus(site: Site, before: Tensor, after: Tensor) -> dict[str, float]:
    if site.held_out.masks is None:
        return {}
    masks = site.held_out.masks[:PROBES]
    there = masks.flatten(1).any(1)
    if not there.any():
        return {}
    found = {"Area": float(masks[there].float().mean())}
    for when, maps in (("own", before), ("last", after)):
        found[f"Energy {when}"] = float(energy_in_mask(maps[there], masks[there]).mean())
        found[f"Pointing {when}"] = float(pointing_game(maps[there], masks[there]).float().mean())
    return {name: round(value, 6) for name, value in found.items()}
