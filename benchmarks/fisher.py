"""The Fisher information of a classifier by six algorithms: the cost of an image, and the error of each.

The algorithms of other libraries are our own code, from their documentation (Avalanche 0.6, Mammoth 2024).
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from anamnesis.methods.base import CLASS, Batch
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings
from benchmarks.timing import side_by_side

Diagonal = dict[str, Tensor]
CLASSES = 5
NETWORKS = {
    "SmallCNN, width 16, group": (NetworkSettings(options={"width": 16, "norm": "group"}), 32),
    "SmallCNN, width 16, batch": (NetworkSettings(options={"width": 16, "norm": "batch"}), 32),
    "ResNet18, width 16, group": (NetworkSettings("ResNet18", options={"width": 16, "norm": "group"}), 8),
    "ResNet18, width 64, group": (NetworkSettings("ResNet18", options={"width": 64, "norm": "group"}), 4),
    "tf_efficientnet_lite0, 64 pixels": (NetworkSettings("timm/tf_efficientnet_lite0", 3, (64, 64)), 8),
    "vit_tiny_patch16, 64 pixels": (NetworkSettings("timm/vit_tiny_patch16_224", 3, (64, 64)), 8),
}


def fisher_of_kind(kind: FisherKind, network: nn.Module, images: Tensor, targets: Tensor) -> Diagonal:
    """Ours: one forward pass, one backward pass per class but one, squares layer by layer."""
    batch = Batch({"OT": (images,)}, {CLASS: targets}, torch.arange(len(images)))
    return fisher_diagonal(
        network, [batch], class_indices=tuple(range(CLASSES)), kind=kind, generator=torch.Generator().manual_seed(0)
    )


def fisher_by_loop(network: nn.Module, images: Tensor, targets: Tensor) -> Diagonal:
    """Exact, by definition: a backward pass per image and class."""
    network.eval()
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        log_probs = network(image[None])[0].log_softmax(0)
        for log_prob in log_probs:
            network.zero_grad()
            log_prob.backward(retain_graph=True)
            for name, value in network.named_parameters():
                total[name] += log_prob.detach().exp() * gradient_of(value).square() / len(images)
    return total


def fisher_by_vmap(network: nn.Module, images: Tensor, targets: Tensor) -> Diagonal:
    """Exact, by ``torch.func``: the gradients of every image, for one class after the other."""
    network.eval()
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    probabilities = network(images).detach().softmax(1)

    def log_likelihood(weights: Diagonal, image: Tensor, label: int) -> Tensor:
        return functional_call(network, weights, (image[None],))[0].log_softmax(0)[label]  # type: ignore[no-any-return]

    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for label in range(CLASSES):
        gradients = vmap(partial(grad(log_likelihood), label=label), in_dims=(None, 0))(parameters, images)
        for name, value in gradients.items():
            total[name] += torch.einsum("n,n...->...", probabilities[:, label], value.square()) / len(images)
    return total


def fisher_by_avalanche(network: nn.Module, images: Tensor, targets: Tensor) -> Diagonal:
    """The square of a batch's mean gradient of the loss against the true labels."""
    network.eval()
    network.zero_grad()
    functional.cross_entropy(network(images), targets).backward()
    return {name: gradient_of(value).square() for name, value in network.named_parameters()}


def fisher_by_mammoth(network: nn.Module, images: Tensor, targets: Tensor) -> Diagonal:
    """Image by image in training mode: the squared gradient for the true label, times its own likelihood."""
    network.train()
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image, target in zip(images, targets, strict=True):
        network.zero_grad()
        loss = functional.cross_entropy(network(image[None]), target[None])
        loss.backward()
        for name, value in network.named_parameters():
            total[name] += loss.detach().neg().exp() * gradient_of(value).square() / len(images)
    network.eval()
    return total


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Returns the gradient, zeros where there is none."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def flatten(diagonal: Diagonal) -> Tensor:
    """Returns one vector."""
    return torch.cat([value.double().flatten() for value in diagonal.values()])


ESTIMATORS: dict[str, Callable[[nn.Module, Tensor, Tensor], Diagonal]] = {
    "exact, ours": partial(fisher_of_kind, FisherKind.EXACT),
    "exact, torch.func.vmap": fisher_by_vmap,
    "exact, loop over images": fisher_by_loop,
    "sampled, ours": partial(fisher_of_kind, FisherKind.SAMPLED),
    "empirical, ours": partial(fisher_of_kind, FisherKind.EMPIRICAL),
    "Avalanche's way": fisher_by_avalanche,
    "Mammoth's way": fisher_by_mammoth,
}


def train_classifier(spec: NetworkSettings, images: Tensor, targets: Tensor) -> Classifier:
    """Returns a partly trained network: neither random nor certain of all answers."""
    network = Classifier(spec, seed=0, classes=0)
    network.head.grow(CLASSES, torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(10):
        optimiser.zero_grad()
        functional.cross_entropy(network(images), targets).backward()
        optimiser.step()
    return network.eval()


def run() -> list[dict[str, object]]:
    """Returns one row per network and algorithm: cost, ratio to vmap, cosine and ratio of the trace with the loop's."""
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for name, (spec, count) in NETWORKS.items():
        images = torch.rand(count, spec.channels, *spec.size, generator=torch.Generator().manual_seed(1))
        targets = torch.arange(count) % CLASSES
        images += 0.2 * targets[:, None, None, None]
        network = train_classifier(spec, images, targets)
        # A copy of the network each: Mammoth's algorithm changes the running statistics of batch normalisation.
        vectors = {
            estimator: flatten(estimate(deepcopy(network), images, targets))
            for estimator, estimate in ESTIMATORS.items()
        }
        exact_vector = vectors["exact, loop over images"]
        seconds_by_estimator = side_by_side(
            {
                estimator: partial(estimate, deepcopy(network), images, targets)
                for estimator, estimate in ESTIMATORS.items()
            },
            turns=5,
        )
        for estimator, seconds in seconds_by_estimator.items():
            vector = vectors[estimator]
            rows.append(
                {
                    "network": name,
                    "way": estimator,
                    "ms per image": 1e3 * seconds / count,
                    "times faster than vmap": seconds_by_estimator["exact, torch.func.vmap"] / seconds,
                    "times faster than the loop": seconds_by_estimator["exact, loop over images"] / seconds,
                    "cosine with the exact one": float(functional.cosine_similarity(vector, exact_vector, dim=0)),
                    "trace over the exact one's": float(vector.sum() / exact_vector.sum()),
                }
            )
    return rows
