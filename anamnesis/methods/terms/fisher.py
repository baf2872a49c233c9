"""Diagonal Fisher information of a classifier: how much its answers depend on each weight.

F_j = E_x E_{y ~ p(y|x)} [(d log p(y|x) / d theta_j)^2], per image, never of a batch's mean gradient: the square of a
mean is smaller by about the batch size and depends on it.
"""

from collections.abc import Iterable
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from anamnesis.methods.base import Batch


class FisherKind(StrEnum):
    """Whose labels the expectation runs over (van de Ven, ICLR 2025 blog post)."""

    EXACT = "exact"
    """Every class, weighted by the model's own probability: one backward pass per class."""
    SAMPLED = "sampled"
    """One label drawn from the model's own probabilities: unbiased, one backward pass."""
    EMPIRICAL = "empirical"
    """The true label: cheap, biased, near zero on a confident model."""


def fisher_diagonal(
    network: nn.Module,
    batches: Iterable[Batch],
    columns: tuple[int, ...],
    kind: FisherKind,
    generator: torch.Generator,
    limit: int = 0,
) -> dict[str, Tensor]:
    """Returns the mean squared per-image gradient of the log-likelihood for every parameter, in float32.

    Args:
        network: logits [N, K] from images; put in evaluation mode, where no image sees another.
        batches: clean images.
        columns: the classes that compete; gradients of the others' rows are zero.
        kind: whose labels.
        generator: for drawn labels.
        limit: stop after this many images; 0 takes all.
    """
    network.eval()
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    buffers = {name: value.detach() for name, value in network.named_buffers()}
    chosen = torch.tensor(columns)

    def log_likelihood(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, {**weights, **buffers}, (image[None],))[0]
        chances: Tensor = logits[chosen.to(logits.device)].log_softmax(0)
        return chances.gather(0, label[None])[0]

    per_image = vmap(grad(log_likelihood), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in parameters.items()}
    seen = 0
    for batch in batches:
        images = batch.images[: limit - seen] if limit else batch.images
        for labels, weights in _labels(network, images, batch.targets, chosen, kind, generator):
            for name, gradient in per_image(parameters, images, labels).items():
                total[name] += torch.einsum("n,n...->...", weights, gradient.float().square())
        seen += len(images)
        if limit and seen >= limit:
            break
    return {name: value / max(seen, 1) for name, value in total.items()}


@torch.no_grad()
def _labels(
    network: nn.Module, images: Tensor, targets: Tensor, columns: Tensor, kind: FisherKind, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Returns pairs of labels [N], as positions in ``columns``, and weights [N]."""
    ones = torch.ones(len(images), device=images.device)
    if kind is FisherKind.EMPIRICAL:
        order = columns.to(targets.device)
        return [((targets[: len(images), None] == order).int().argmax(1), ones)]
    probabilities = network(images)[:, columns.to(images.device)].softmax(1)
    if kind is FisherKind.SAMPLED:
        drawn = torch.multinomial(probabilities.cpu(), 1, generator=generator)[:, 0]
        return [(drawn.to(images.device), ones)]
    classes = range(len(columns))
    return [(torch.full_like(ones, c, dtype=torch.long), probabilities[:, c]) for c in classes]
