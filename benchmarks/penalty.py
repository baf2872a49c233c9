"""The penalty and its gradient: one quadratic for all tasks over lists, beside one graph node a tensor and task.

Avalanche's algorithm (0.6, ``separate``, its default) is our own code: a sum over earlier tasks and tensors, left to
autograd. ``python -m benchmarks penalty``.
"""

import torch
from torch import Tensor, nn

from anamnesis.methods.fisher.quadratic_penalty import QuadraticPenalty
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings
from benchmarks.timing import side_by_side

NETWORKS = {
    "SmallCNN, width 16": NetworkSettings(options={"width": 16, "norm": "group"}),
    "ResNet18, width 16": NetworkSettings("ResNet18", options={"width": 16, "norm": "group"}),
    "ResNet18, width 64": NetworkSettings("ResNet18", options={"width": 64, "norm": "group"}),
}
LAMBDA = 100.0


def random_quadratic(network: nn.Module, seed: int) -> QuadraticPenalty:
    """Returns a task's quadratic at random."""
    generator = torch.Generator().manual_seed(seed)
    values = dict(network.named_parameters())
    importance = {name: torch.rand(value.shape, generator=generator) for name, value in values.items()}
    return QuadraticPenalty(
        importance,
        {name: value.detach() + 0.01 * torch.randn(value.shape, generator=generator) for name, value in values.items()},
    )


def penalty_per_tensor(network: nn.Module, tasks: list[QuadraticPenalty]) -> Tensor:
    """Avalanche's way; times 1/2, as it leaves that to lambda."""
    total = torch.zeros(())
    for task in tasks:
        for name, value in network.named_parameters():
            total = total + (task.importance[name] * (value - task.anchor[name]).pow(2)).sum()
    return 0.5 * LAMBDA * total


def gradient(network: nn.Module, penalty: Tensor) -> list[Tensor]:
    """Returns the gradient of every parameter."""
    network.zero_grad()
    penalty.backward()
    return [value.grad for value in network.parameters() if value.grad is not None]


def compare(name: str, count: int) -> list[dict[str, object]]:
    """Returns a row for each way, after ``count`` earlier tasks."""
    network = Classifier(NETWORKS[name], seed=0, classes=10)
    tasks = [random_quadratic(network, seed) for seed in range(count)]
    merged_penalty = QuadraticPenalty()
    for task in tasks:
        merged_penalty = merged_penalty.add(task)
    ways = {
        "Avalanche's way": lambda: gradient(network, penalty_per_tensor(network, tasks)),
        "one quadratic over lists": lambda: gradient(network, LAMBDA * merged_penalty.value(network)),
    }
    separate_gradients, merged_gradients = ([value.clone() for value in way()] for way in ways.values())
    difference = max(
        float((separate - merged).abs().max() / separate.abs().max())
        for separate, merged in zip(separate_gradients, merged_gradients, strict=True)
    )
    copy = Classifier(NETWORKS[name], seed=0, classes=10)
    seconds_by_way = side_by_side(
        {**ways, "its proximal step": lambda: merged_penalty.proximal_step(copy, 1e-3 * LAMBDA)}, turns=15
    )
    return [
        {
            "network": name,
            "earlier tasks": count,
            "way": way,
            "ms": 1e3 * seconds,
            "times faster": seconds_by_way["Avalanche's way"] / seconds,
            "largest difference of gradients": "" if "proximal" in way else difference,
        }
        for way, seconds in seconds_by_way.items()
    ]


def run() -> list[dict[str, object]]:
    """Returns the rows of every network after one and after four earlier tasks."""
    torch.set_num_threads(1)
    return [row for name in NETWORKS for count in (1, 4) for row in compare(name, count)]
