"""One training step in four numeric modes, on one thread: where bfloat16 and channels_last gain."""

from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional

from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings
from benchmarks.timing import side_by_side

NETWORKS = {
    "SmallCNN, width 16": NetworkSettings(options={"width": 16, "norm": "group"}),
    "ResNet18, width 64": NetworkSettings("ResNet18", options={"width": 64, "norm": "group"}),
}


def run_step(network: nn.Module, images: torch.Tensor, targets: torch.Tensor, use_bfloat16: bool) -> None:
    """One forward and backward pass."""
    with torch.autocast("cpu", torch.bfloat16) if use_bfloat16 else nullcontext():
        loss = functional.cross_entropy(network(images), targets)
    network.zero_grad()
    loss.backward()


def run() -> list[dict[str, object]]:
    """Returns one row per network and mode, with the ratio to float32 in the default layout."""
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for name, spec in NETWORKS.items():
        modes = {}
        for layout in (torch.contiguous_format, torch.channels_last):
            network = Classifier(spec, seed=0, classes=10).to(memory_format=layout)
            images = torch.rand(16, 1, 64, 64).contiguous(memory_format=layout)
            targets = torch.arange(16) % 10
            for use_bfloat16 in (False, True):
                label = f"{'bfloat16' if use_bfloat16 else 'float32'}, {str(layout).removeprefix('torch.')}"
                modes[label] = lambda n=network, i=images, t=targets, h=use_bfloat16: run_step(n, i, t, h)
        seconds_by_mode = side_by_side(modes, turns=3)
        baseline = seconds_by_mode["float32, contiguous_format"]
        rows += [
            {"network": name, "mode": mode, "ms per step": 1e3 * seconds, "times faster": baseline / seconds}
            for mode, seconds in seconds_by_mode.items()
        ]
    return rows
