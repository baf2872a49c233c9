"""Fisher information against loops, closed forms and known traps; "2." is unit test 2 of ``ewc_prototype``'s list."""

import pytest
import torch
from builders.learning import SPEC
from torch import nn

from anamnesis.methods.base import CLASS, Batch
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal, gaussian_fisher_diagonal
from anamnesis.networks import AutoEncoder, Classifier
from anamnesis.records import NetworkSettings

NETWORKS = {
    f"{name}-{norm}": NetworkSettings(name, size=(16, 16), options={"width": 8, "norm": norm})
    for name in ("SmallCNN", "ResNet18")
    for norm in ("group", "batch")
}
EACH_NETWORK = pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)


def batch_of(images: torch.Tensor, targets: torch.Tensor) -> Batch:
    return Batch({"OT": (images,)}, {CLASS: targets}, torch.arange(len(images)))


@pytest.fixture
def network() -> Classifier:
    return Classifier(SPEC, seed=1, classes=0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def grown(network: Classifier, classes: int) -> Classifier:
    network.head.grow(classes, torch.Generator().manual_seed(2))
    return network


def looped_diagonal(network: nn.Module, images: torch.Tensor, columns: list[int]) -> dict[str, torch.Tensor]:
    """The exact Fisher information, one image and one class at a time."""
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        logs = network(image[None])[0, columns].log_softmax(0)
        for log in logs:
            network.zero_grad()
            log.backward(retain_graph=True)
            for name, value in network.named_parameters():
                total[name] += log.exp().detach() * value.grad.square() / len(images)
    return total


def exact_diagonal(network: nn.Module, images: torch.Tensor, classes: int, **options: float) -> dict[str, torch.Tensor]:
    batches, columns = [batch_of(images, torch.zeros(len(images)))], tuple(range(classes))
    return fisher_diagonal(
        network, batches, class_indices=columns, kind=FisherKind.EXACT, generator=torch.Generator(), **options
    )


@EACH_NETWORK
def test_2_exact_equals_a_loop_over_images_and_classes(spec: NetworkSettings, images: torch.Tensor) -> None:
    network = grown(Classifier(spec, seed=1), 3)
    with torch.no_grad():  # statistics and scales as after some training
        for value in (*network.buffers(), *network.parameters()):
            if value.is_floating_point() and value.dim() == 1:
                value.add_(0.1 * torch.rand(value.shape, generator=torch.Generator().manual_seed(3)))
    network.eval()
    diagonal, loop = exact_diagonal(network, images, 3), looped_diagonal(network, images, [0, 1, 2])
    for name, value in loop.items():
        torch.testing.assert_close(diagonal[name], value, rtol=2e-3, atol=1e-6 * float(value.max()))
    flat_diagonal, flat_loop = (
        torch.cat([value.flatten() for value in values.values()]) for values in (diagonal, loop)
    )
    assert nn.functional.cosine_similarity(flat_diagonal, flat_loop, dim=0) > 0.99999


def test_2_exact_is_the_diagonal_gauss_newton(network: Classifier, images: torch.Tensor) -> None:
    """diag J^T (diag p - p p^T) J, of the Jacobian J of the logits."""
    grown(network, 3).eval()
    expected = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        logits = network(image[None])[0]
        chances = logits.detach().softmax(0)
        names, values = zip(*network.named_parameters(), strict=True)
        rows = [torch.autograd.grad(logit, values, retain_graph=True) for logit in logits]
        for name, *jacobian in zip(names, *rows, strict=True):
            stacked = torch.stack(jacobian)
            curvature = torch.diag(chances) - torch.outer(chances, chances)
            expected[name] += torch.einsum("a...,ab,b...->...", stacked, curvature, stacked) / len(images)
    diagonal = exact_diagonal(network, images, 3)
    for name, value in expected.items():
        torch.testing.assert_close(diagonal[name], value, rtol=1e-3, atol=1e-6 * float(value.max()))


def test_2_the_last_layer_has_a_closed_form(network: Classifier, images: torch.Tensor) -> None:
    """Mean of p (1 - p) for the biases, times the squared feature for the weights."""
    grown(network, 4).eval()
    diagonal = exact_diagonal(network, images, 4)
    features = network.features(images).mean((2, 3)).detach()
    chances = network.head(features).detach().softmax(1)
    variance = chances * (1 - chances)
    torch.testing.assert_close(diagonal["head.bias"], variance.mean(0))
    torch.testing.assert_close(diagonal["head.weight"], variance.T @ features.square() / len(images))


def test_the_network_is_left_as_it_was_found(images: torch.Tensor) -> None:
    network = grown(Classifier(NETWORKS["ResNet18-batch"], seed=1), 2)
    network.train()
    network.backbone.layers.eval().requires_grad_(False)
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():  # as in a caller without gradients
        diagonal = exact_diagonal(network, images, 2)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.grad is None for value in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert diagonal["backbone.layers.0.0.conv1.weight"].sum() > 0  # frozen for now, but answers depend on it


def test_temperature_brings_back_what_certainty_hides(network: Classifier, images: torch.Tensor) -> None:
    """A network 1000 times as sure has none; softened by 1000 it has that of the first, in its own logits' units."""
    grown(network, 3)
    calm = exact_diagonal(network, images, 3)
    with torch.no_grad():
        network.head.weight.mul_(1000)
    sure, softened = exact_diagonal(network, images, 3), exact_diagonal(network, images, 3, temperature=1000.0)
    assert sure["head.bias"].sum() < 0.05 * calm["head.bias"].sum()
    torch.testing.assert_close(softened["head.bias"], calm["head.bias"], rtol=1e-3, atol=1e-7)
    body = "backbone.blocks.0.weight"
    torch.testing.assert_close(softened[body], 1e6 * calm[body], rtol=2e-2, atol=1e6 * float(calm[body].max()) * 1e-4)


def test_certainty_is_not_a_number_nowhere(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 3)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([1e4, 0.0, -1e4]))
    assert all(value.isfinite().all() for value in exact_diagonal(network, images, 3).values())


def test_a_pictures_comes_near_the_whole_jacobian(images: torch.Tensor) -> None:
    network = AutoEncoder(SPEC, seed=1, classes=2)
    names = ("decoder.last.weight", "decoder.blocks.0.bias", "backbone.blocks.0.weight")

    def decode(batch: torch.Tensor) -> torch.Tensor:
        return network.decode(network.features(batch))

    expected = dict.fromkeys(names, torch.zeros(()))
    values = [network.get_parameter(name) for name in names]
    for image in images[:2]:
        for pixel in decode(image[None]).flatten():
            for name, row in zip(names, torch.autograd.grad(pixel, values, retain_graph=True), strict=True):
                expected[name] = expected[name] + row.square() * 2 * 3.0 / 256 / 2  # 2 weight / pixels, over images
    diagonal = gaussian_fisher_diagonal(
        network,
        lambda batch, _: decode(batch),
        batches=[batch_of(images, torch.zeros(6))],
        generator=torch.Generator().manual_seed(0),
        inverse_variance=2 * 3.0 / 256,
        probes=300,
        image_limit=2,
    )
    for name in names:
        assert diagonal[name].sum() == pytest.approx(float(expected[name].sum()), rel=0.1)
    assert diagonal["head.weight"].sum() == 0


def test_2_it_does_not_depend_on_how_images_are_batched(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 2)
    targets = torch.tensor([0, 1, 0, 1, 0, 1])
    whole, parts = (
        fisher_diagonal(network, batches, class_indices=(0, 1), kind=FisherKind.EMPIRICAL, generator=torch.Generator())
        for batches in (
            [batch_of(images, targets)],
            [batch_of(images[:1], targets[:1]), batch_of(images[1:], targets[1:])],
        )
    )
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)
    mean_gradient = torch.autograd.grad(nn.functional.cross_entropy(network(images), targets), network.head.weight)[0]
    assert whole["head.weight"].sum() > 2 * mean_gradient.square().sum()  # the batched square is another quantity


def test_2_sampled_comes_near_exact(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 3)
    once, generator = [batch_of(images, torch.zeros(6))], torch.Generator().manual_seed(0)
    sampled = fisher_diagonal(
        network, once * 100, class_indices=(0, 1, 2), kind=FisherKind.SAMPLED, generator=generator
    )
    sampled_total, expected_total = (
        sum(float(v.sum()) for v in diagonal.values()) for diagonal in (sampled, exact_diagonal(network, images, 3))
    )
    assert sampled_total == pytest.approx(expected_total, rel=0.15)


def test_rows_outside_the_task_have_none(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 4)
    diagonal = fisher_diagonal(
        network,
        [batch_of(images, torch.full((6,), 2))],
        class_indices=(2, 3),
        kind=FisherKind.SAMPLED,
        generator=torch.Generator().manual_seed(0),
    )
    assert diagonal["head.weight"][:2].abs().sum() == 0
    assert diagonal["head.weight"][2:].abs().sum() > 0
    assert all((value >= 0).all() for value in diagonal.values())


def test_it_leaves_batch_normalisation_alone(images: torch.Tensor) -> None:
    network = Classifier(NetworkSettings(size=(16, 16), options={"width": 8, "norm": "batch"}), seed=0, classes=0)
    grown(network, 2)
    before = {name: value.clone() for name, value in network.named_buffers()}
    fisher_diagonal(
        network,
        [batch_of(images, torch.zeros(6))],
        class_indices=(0, 1),
        kind=FisherKind.EXACT,
        generator=torch.Generator(),
    )
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_the_limit_counts_images(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 2)
    batches = [batch_of(images[:4], torch.zeros(4)), batch_of(images[4:], torch.zeros(2))]
    limited = fisher_diagonal(
        network, batches, class_indices=(0, 1), kind=FisherKind.EXACT, generator=torch.Generator(), image_limit=3
    )
    first = fisher_diagonal(
        network,
        [batch_of(images[:3], torch.zeros(3))],
        class_indices=(0, 1),
        kind=FisherKind.EXACT,
        generator=torch.Generator(),
    )
    for name, value in first.items():
        torch.testing.assert_close(limited[name], value)
