"""Made-up sites: a bar on a background of the site's own, and a question of its own about the bar."""

import torch
from torch import Tensor

from anamnesis.records import Task, TaskType
from benchmarks.scoreboard.sites import Cases, Site

QUESTIONS = {"direction": ("lying", "standing"), "side": ("left", "right"), "width": ("thin", "thick")}


def phantom_sites(size: int = 32, train: int = 160, held_out: int = 80) -> tuple[Site, ...]:
    """Returns three sites of two classes; two images a patient."""
    sites = []
    for number, (name, classes) in enumerate(QUESTIONS.items()):
        parts = (_cases(number, count, size, seed) for seed, count in enumerate((train, held_out)))
        sites.append(Site(name, Task(name, TaskType.CLASSIFICATION, classes, "Accuracy"), *parts))
    return tuple(sites)


def _cases(number: int, count: int, size: int, seed: int) -> Cases:
    generator = torch.Generator().manual_seed(10 * number + seed)
    labels = torch.arange(count) % 2
    images = _background(number, size) + 0.1 * torch.randn(count, size, size, generator=generator)
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    for row, label in enumerate(labels.tolist()):
        tall, wide = _bar(number, label, size)
        top, left = (
            int(place) for place in torch.rand(2, generator=generator) * torch.tensor([size - tall, size - wide])
        )
        if number == 1:
            left = left // 2 + label * (size - wide) // 2
        masks[row, top : top + tall, left : left + wide] = True
    images = (images + 0.4 * masks).clamp(0, 1)
    return Cases(images[:, None].half(), labels, torch.arange(count) // 2, masks)


def _bar(number: int, label: int, size: int) -> tuple[int, int]:
    """Returns height and width of the bar that has the class ``label``."""
    long, short = size // 2, size // 8
    return (
        ((short, long), (long, short))[label] if number == 0 else (long, short if number == 1 else short * (1 + label))
    )


def _background(number: int, size: int) -> Tensor:
    """Returns [size, size] grey values around 0.35."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    patterns = (rows / size, (rows // 4 % 2).float(), ((rows // 4 + columns // 4) % 2).float())
    return 0.25 + 0.2 * patterns[number]
