"""Diagonal Fisher information of a classifier: how much its predictions depend on each weight.

F_j = E_x E_{y ~ p(y|x)} [(d log p(y|x) / d theta_j)^2], per image, never of a batch's mean gradient: the square of a
mean is smaller by about the batch size and depends on it.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods.base import Batch
from anamnesis.methods.fisher.per_sample_gradients import SquaredGradients, add_squares
from anamnesis.networks import evaluation_mode, find_learnable

IMAGES_PER_PASS = {"cpu": 8}
"""Images of one pass on a device; the activations of a few images fit in a processor's cache."""


class FisherKind(StrEnum):
    """The labels of the expectation (van de Ven, ICLR 2025 blog post)."""

    EXACT = "exact"
    """Every class, weighted by the model's own probability: one backward pass per class but one."""
    SAMPLED = "sampled"
    """One label drawn from the model's own probabilities: unbiased, one backward pass."""
    EMPIRICAL = "empirical"
    """The true label: cheap, biased, near zero on a confident model."""


def fisher_diagonal(
    network: nn.Module,
    batches: Iterable[Batch],
    class_indices: tuple[int, ...],
    kind: FisherKind,
    generator: torch.Generator,
    image_limit: int = 0,
    temperature: float = 1.0,
) -> dict[str, Tensor]:
    """Returns the mean squared per-image gradient of the log-likelihood for each parameter that learns, in float32.

    Args:
        network: logits [N, K] from images; it is not changed.
        batches: clean images.
        class_indices: the classes that compete; gradients of the others' rows are zero.
        kind: which labels.
        generator: for drawn labels.
        image_limit: stop after this many images; 0 takes all.
        temperature: T of p = softmax(logits / T); a network that is certain of all answers has no Fisher information
            at T = 1. The result is T^2 times that of the tempered model, so that its scale stays comparable.

    Raises:
        ValueError: images influence each other; see ``per_sample_gradients``.
    """
    classes = list(class_indices)
    gradients = SquaredGradients(network, lambda images, _: network(images)[:, classes])
    total, image_count = _zeros_like_learnable(network), 0
    with evaluation_mode(network), torch.enable_grad():
        for images, targets in _limit_images(batches, image_limit):
            forward_pass = gradients.forward(images, targets)
            logits = forward_pass.output
            probabilities = (logits.detach().double() / temperature).softmax(1)
            for vectors in _fisher_vectors(
                probabilities, targets, class_indices=classes, kind=kind, generator=generator
            ):
                add_squares(total, forward_pass.squared_gradients(vectors.to(logits.dtype)))
            image_count += len(images)
    return {name: value / max(image_count, 1) for name, value in total.items()}


def gaussian_fisher_diagonal(
    network: nn.Module,
    output_of: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Batch],
    generator: torch.Generator,
    inverse_variance: float = 1.0,
    probes: int = 1,
    image_limit: int = 0,
) -> dict[str, Tensor]:
    """Returns the Fisher information of an output under Gaussian noise, of each parameter that learns, in float32.

    It is ``inverse_variance`` diag(J^T J), J being the derivative by the weights: to second order, half of it times a
    squared change of weights is half of ``inverse_variance`` times the squared change of the output. Rademacher probes
    estimate the diagonal: E_v [(J^T v)^2] with v of independent signs.

    Args:
        network: it is not changed.
        output_of: images [N, C, ...] and targets [N] to [N, ...], by layers of ``network``.
        batches: clean images.
        generator: for the signs.
        inverse_variance: one over the variance of the noise.
        probes: backward passes per batch; few are enough, as images average too.
        image_limit: stop after this many images; 0 takes all.

    Raises:
        ValueError: images influence each other; see ``per_sample_gradients``.
    """
    gradients, scale = SquaredGradients(network, output_of), (inverse_variance / probes) ** 0.5
    total, image_count = _zeros_like_learnable(network), 0
    with evaluation_mode(network), torch.enable_grad():
        for images, targets in _limit_images(batches, image_limit):
            forward_pass = gradients.forward(images, targets)
            for _ in range(probes):
                output = forward_pass.output
                signs = torch.randint(2, output.shape, generator=generator).to(output) * 2 - 1
                add_squares(total, forward_pass.squared_gradients(signs * scale))
            image_count += len(images)
    return {name: value / max(image_count, 1) for name, value in total.items()}


def _zeros_like_learnable(network: nn.Module) -> dict[str, Tensor]:
    """Returns zeros for each parameter that learns, in float32, or in float64 where it is."""
    return {
        name: torch.zeros_like(value, dtype=torch.promote_types(value.dtype, torch.float32), requires_grad=False)
        for name, value in find_learnable(network).items()
    }


def _limit_images(batches: Iterable[Batch], image_limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields images and targets, a few at a time, up to ``image_limit`` images; 0 yields all."""
    image_count = 0
    for batch in batches:
        count = min(len(batch.images), image_limit - image_count) if image_limit else len(batch.images)
        chunk_size = IMAGES_PER_PASS.get(batch.images.device.type, max(count, 1))
        yield from zip(
            torch.split(batch.images[:count], chunk_size), torch.split(batch.classes[:count], chunk_size), strict=True
        )
        image_count += count
        if image_limit and image_count >= image_limit:
            return


def _fisher_vectors(
    probabilities: Tensor, targets: Tensor, class_indices: list[int], kind: FisherKind, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yields vectors v [N, C] over logits; the sum over them of E (v^T d logits / d theta)^2 is the information.

    For one label y the vector is d log p(y) / d logits = e_y - p. Over all labels, weighted by p, its outer products
    add up to diag(p) - p p^T, of rank C - 1; the Cholesky factor of that has a closed form with C - 1 columns (Tanabe
    and Sagae 1992).
    """
    classes = len(class_indices)
    if kind is FisherKind.EXACT:
        remaining_mass = (
            probabilities.flip(1).cumsum(1).flip(1).clamp_min(torch.finfo(probabilities.dtype).tiny)
        )  # sum over j >= c
        for c in range(classes - 1):
            ratio = ((probabilities[:, c] / remaining_mass[:, c]).sqrt() / remaining_mass[:, c + 1].sqrt())[:, None]
            vector = -ratio * probabilities
            vector[:, c] = ratio[:, 0] * remaining_mass[:, c + 1]
            vector[:, :c] = 0
            yield vector
        return
    if kind is FisherKind.SAMPLED:
        labels = torch.multinomial(probabilities.cpu(), 1, generator=generator)[:, 0].to(probabilities.device)
    else:
        labels = (targets[:, None] == torch.tensor(class_indices, device=targets.device)).int().argmax(1)
    yield functional.one_hot(labels, classes) - probabilities
