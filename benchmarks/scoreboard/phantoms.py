"""Made-up sites: three backgrounds, on each of which the direction of a bar tells the class."""

import torch
from torch import Tensor

from anamnesis.records import Task, TaskType
from benchmarks.scoreboard.sites import Cases, Site

BACKGROUNDS = ("smooth", "striped", "chequered")
CLASSES = ("lying", "standing")


def phantom_sites(size: int = 32, train: int = 120, held_out: int = 80) -> tuple[Site, ...]:
    """Returns three sites of two classes; two images a patient."""
    sites = []
    for number, name in enumerate(BACKGROUNDS):
        task = Task(name, TaskType.CLASSIFICATION, CLASSES, "Accuracy")
        parts = (_cases(number, count, size, seed) for seed, count in enumerate((train, held_out)))
        sites.append(Site(name, task, *parts))
    return tuple(sites)


def _cases(background: int, count: int, size: int, seed: int) -> Cases:
    generator = torch.Generator().manual_seed(10 * background + seed)
    labels = torch.arange(count) % 2
    images = _background(background, size) + 0.12 * torch.randn(count, size, size, generator=generator)
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    length, thickness = size // 2, max(2, size // 10)
    corners = torch.randint(0, size - length, (count, 2), generator=generator)
    for row, (top, left) in enumerate(corners.tolist()):
        tall, wide = (length, thickness) if labels[row] else (thickness, length)
        masks[row, top : top + tall, left : left + wide] = True
    images = (images + 0.35 * masks).clamp(0, 1)
    return Cases(images[:, None].half(), labels, torch.arange(count) // 2, masks)


def _background(number: int, size: int) -> Tensor:
    """Returns [size, size] grey values around 0.4."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    patterns = (rows / size, (rows // 4 % 2).float(), ((rows // 4 + columns // 4) % 2).float())
    return 0.25 + 0.25 * patterns[number]
