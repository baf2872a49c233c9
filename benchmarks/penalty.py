"""The gradient of the quadratic penalty on a ResNet-18: one autograd function over lists, beside one node a tensor."""

import torch

from anamnesis.methods.terms.quadratic import quadratic_penalty
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSpec
from benchmarks.timing import side_by_side


def run() -> list[dict[str, object]]:
    """Returns one row per way, with the ratio to the plain one and the largest difference of their gradients."""
    torch.set_num_threads(1)
    network = Classifier(NetworkSpec("ResNet18", width=64), seed=0, classes=10)
    generator = torch.Generator().manual_seed(0)
    anchor = {n: p.detach() + 0.01 * torch.randn(p.shape, generator=generator) for n, p in network.named_parameters()}
    importance = {n: torch.rand(p.shape, generator=generator) for n, p in network.named_parameters()}

    def plain() -> torch.Tensor:
        terms = [(importance[n] * (p - anchor[n]).square()).sum() for n, p in network.named_parameters()]
        return 0.5 * 100.0 * torch.stack(terms).sum()

    def lists() -> torch.Tensor:
        return quadratic_penalty(network, 100.0, importance, anchor)

    def gradient(penalty: torch.Tensor) -> list[torch.Tensor]:
        network.zero_grad()
        penalty.backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    difference = max(float((a - b).abs().max()) for a, b in zip(gradient(plain()), gradient(lists()), strict=True))
    found = side_by_side({"one node a tensor": lambda: gradient(plain()), "over lists": lambda: gradient(lists())})
    return [
        {"way": way, "ms": 1e3 * s, "times faster": found["one node a tensor"] / s, "largest difference": difference}
        for way, s in found.items()
    ]
