"""Artificial sites: a bar on a background, with a different background and task for each site."""

import torch
from torch import Tensor

from anamnesis.records import Task, TaskType
from benchmarks.scoreboard.sites import BenchmarkSite, Cases

QUESTIONS = {"direction": ("lying", "standing"), "side": ("left", "right"), "width": ("thin", "thick")}


def phantom_sites(size: int = 32, train: int = 160, held_out: int = 80) -> tuple[BenchmarkSite, ...]:
    """Returns three sites of two classes; two images a patient."""
    sites = []
    for number, (name, classes) in enumerate(QUESTIONS.items()):
        parts = (_make_cases(number, count, size, seed) for seed, count in enumerate((train, held_out)))
        sites.append(BenchmarkSite(name, Task(name, TaskType.CLASSIFICATION, classes, "Accuracy"), *parts))
    return tuple(sites)


def _make_cases(number: int, count: int, size: int, seed: int) -> Cases:
    generator = torch.Generator().manual_seed(10 * number + seed)
    labels = torch.arange(count) % 2
    images = _make_background(number, size) + 0.1 * torch.randn(count, size, size, generator=generator)
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    for row, label in enumerate(labels.tolist()):
        bar_height, bar_width = _bar_size(number, label, size)
        top_edge, left_edge = (
            int(offset)
            for offset in torch.rand(2, generator=generator) * torch.tensor([size - bar_height, size - bar_width])
        )
        if number == 1:
            left_edge = left_edge // 2 + label * (size - bar_width) // 2
        masks[row, top_edge : top_edge + bar_height, left_edge : left_edge + bar_width] = True
    images = (images + 0.4 * masks).clamp(0, 1)
    return Cases(images[:, None].half(), labels, torch.arange(count) // 2, masks)


def _bar_size(number: int, label: int, size: int) -> tuple[int, int]:
    """Returns height and width of the bar that has the class ``label``."""
    length, thickness = size // 2, size // 8
    return (
        ((thickness, length), (length, thickness))[label]
        if number == 0
        else (length, thickness if number == 1 else thickness * (1 + label))
    )


def _make_background(number: int, size: int) -> Tensor:
    """Returns [size, size] grey values around 0.35."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    patterns = (rows / size, (rows // 4 % 2).float(), ((rows // 4 + columns // 4) % 2).float())
    return 0.25 + 0.2 * patterns[number]
