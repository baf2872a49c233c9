"""Diagonal Fisher information of a classifier: how much its answers depend on each weight.

F_j = E_x E_{y ~ p(y|x)} [(d log p(y|x) / d theta_j)^2], per image, never of a batch's mean gradient: the square of a
mean is smaller by about the batch size and depends on it.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods.base import Batch
from anamnesis.methods.fisher.per_sample_gradients import add_squares, recorded

AT_A_TIME = {"cpu": 8}
"""Images of one pass, where not the whole batch: what layers hold of a few stays in a processor's cache."""


class FisherKind(StrEnum):
    """Whose labels the expectation runs over (van de Ven, ICLR 2025 blog post)."""

    EXACT = "exact"
    """Every class, weighted by the model's own probability: one backward pass per class but one."""
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
    temperature: float = 1.0,
) -> dict[str, Tensor]:
    """Returns the mean squared per-image gradient of the log-likelihood for every parameter, in float32.

    Args:
        network: logits [N, K] from images; left as it was found.
        batches: clean images.
        columns: the classes that compete; gradients of the others' rows are zero.
        kind: whose labels.
        generator: for drawn labels.
        limit: stop after this many images; 0 takes all.
        temperature: T of p = softmax(logits / T); a network that is sure of everything has no Fisher information at
            T = 1. The result is T^2 times that of the tempered model, so that its scale stays comparable.

    Raises:
        TypeError, ValueError: a layer whose gradients per image have no rule; see ``squares``.
    """
    chosen = list(columns)
    total = {n: torch.zeros_like(p, dtype=torch.float32, requires_grad=False) for n, p in network.named_parameters()}
    seen = 0
    for images, targets in _limited(batches, limit):
        with recorded(network) as calls:
            logits = network(images.detach().requires_grad_())[:, chosen]
            scores = (logits.detach().double() / temperature).softmax(1)
            for vectors in _vectors(scores, targets, chosen, kind, generator):
                add_squares(total, calls, logits, vectors.to(logits.dtype))
        seen += len(images)
    return {name: value / max(seen, 1) for name, value in total.items()}


def gaussian_diagonal(
    network: nn.Module,
    observe: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Batch],
    generator: torch.Generator,
    precision: float = 1.0,
    probes: int = 1,
    limit: int = 0,
) -> dict[str, Tensor]:
    """Returns the Fisher information of what a network makes of an image, seen with Gaussian noise, in float32.

    It is ``precision`` diag(J^T J), J being the derivative by the weights: to second order, half of it times a change
    of weights squared is half of ``precision`` times the squared change of what is made. The diagonal is estimated by
    Rademacher probes: E_v [(J^T v)^2] with v of independent signs.

    Args:
        network: left as it was found.
        observe: images [N, C, H, W] and targets [N] to [N, ...], by layers of ``network``.
        batches: clean images.
        generator: for the signs.
        precision: one over the variance of the noise.
        probes: backward passes per batch; few are enough, as images average too.
        limit: stop after this many images; 0 takes all.
    """
    total = {n: torch.zeros_like(p, dtype=torch.float32, requires_grad=False) for n, p in network.named_parameters()}
    seen, scale = 0, (precision / probes) ** 0.5
    for images, targets in _limited(batches, limit):
        with recorded(network) as calls:
            made = observe(images.detach().requires_grad_(), targets)
            for _ in range(probes):
                signs = torch.randint(2, made.shape, generator=generator).to(made) * 2 - 1
                add_squares(total, calls, made, signs * scale)
        seen += len(images)
    return {name: value / max(seen, 1) for name, value in total.items()}


def _limited(batches: Iterable[Batch], limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields images and targets, few at a time, until there were ``limit`` of them; 0 yields all."""
    seen = 0
    for batch in batches:
        count = min(len(batch.images), limit - seen) if limit else len(batch.images)
        few = AT_A_TIME.get(batch.images.device.type, max(count, 1))
        yield from zip(torch.split(batch.images[:count], few), torch.split(batch.targets[:count], few), strict=True)
        seen += count
        if limit and seen >= limit:
            return


def _vectors(
    chances: Tensor, targets: Tensor, columns: list[int], kind: FisherKind, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yields vectors v [N, C] over logits, such that the sum over them of E (v^T d logits / d theta)^2 is wanted.

    For one label y that is d log p(y) / d logits = e_y - p. Over all labels, weighted by p, its outer products add up
    to diag(p) - p p^T, of rank C - 1; its Cholesky factor has a closed form (Tanabe and Sagae 1992), and one column
    less than there are classes.
    """
    classes = len(columns)
    if kind is FisherKind.EXACT:
        left = chances.flip(1).cumsum(1).flip(1).clamp_min(torch.finfo(chances.dtype).tiny)  # sum over j >= c
        for c in range(classes - 1):
            share = ((chances[:, c] / left[:, c]).sqrt() / left[:, c + 1].sqrt())[:, None]
            tail = -share * chances
            tail[:, c] = share[:, 0] * left[:, c + 1]
            tail[:, :c] = 0
            yield tail
        return
    if kind is FisherKind.SAMPLED:
        labels = torch.multinomial(chances.cpu(), 1, generator=generator)[:, 0].to(chances.device)
    else:
        labels = (targets[:, None] == torch.tensor(columns, device=targets.device)).int().argmax(1)
    yield functional.one_hot(labels, classes) - chances
