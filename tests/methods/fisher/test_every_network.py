"""Squared gradients per image of networks of all kinds against plain autograd, image by image, in double precision."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods.base import CLASS, Batch
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal, gaussian_fisher_diagonal
from anamnesis.methods.fisher.layer_rules import find_rule
from anamnesis.methods.fisher.per_sample_gradients import SquaredGradients

CLASSES, IMAGES = 3, 3


def lite0() -> nn.Module:
    return timm_network("tf_efficientnet_lite0")


def vision_transformer() -> nn.Module:
    return timm_network("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=24, num_heads=2)


def scaled_transformer() -> nn.Module:
    """As DINOv2: register tokens and layer scales."""
    sizes = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 2}
    return timm_network("vit_small_patch14_reg4_dinov2", **sizes)


def window_transformer() -> nn.Module:
    """Several rows of attention for each image, and a table of biases without a layer of its own."""
    sizes = {"img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 2)}
    return timm_network("swin_tiny_patch4_window7_224", **sizes)


def modern_convolutions() -> nn.Module:
    """Norms over the channels of maps, and scales that are bare parameters of a block."""
    return timm_network("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16))


def dense_network() -> nn.Module:
    from monai.networks.nets import DenseNet

    return DenseNet(2, 3, CLASSES, init_features=8, growth_rate=4, block_config=(2, 2))


def volume_network() -> nn.Module:
    from monai.networks.nets import ResNet

    return ResNet("basic", [1] * 4, [4, 8, 8, 8], spatial_dims=3, n_input_channels=3, num_classes=3, conv1_t_size=3)


def timm_network(name: str, **options: object) -> nn.Module:
    timm = pytest.importorskip("timm", reason="the extra timm is not installed")
    return timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)


class AttentionNetwork(nn.Module):
    """PyTorch's own attention: it uses the weights of its last layer and never calls that layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8, padding="valid")
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.block(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


class SharedLayers(nn.Module):
    """A layer that is called twice, and two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.first.weight = self.second.weight

    def forward(self, images: Tensor) -> Tensor:
        maps = self.twice(torch.tanh(self.twice(self.stem(images))))
        return self.second(torch.tanh(self.first(maps.mean((2, 3)))))[:, :CLASSES]


class UpwardConvolution(nn.Module):
    """A layer without a rule of ours, an activation with a weight and a norm of each image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(3, CLASSES, 3), nn.InstanceNorm2d(CLASSES, affine=True), nn.PReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).square().mean((2, 3))


class HiddenUse(nn.Module):
    """A weight that is used once by its layer and once without it: no rule can see the second use."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.mean((2, 3))
        return functional.linear(torch.tanh(self.layer(pixels)), self.layer.weight)


class Standardised(nn.Conv2d):
    """Has another weight than its own, and another name."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight / self.weight.std(), self.bias)


class StandardisedNetwork(nn.Module):
    def __init__(self, layer_class: type[nn.Conv2d]) -> None:
        super().__init__()
        self.layer = layer_class(3, CLASSES, 3)

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.layer(images)).mean((2, 3))


def impostor() -> nn.Module:
    """A layer that computes something else than its name says."""
    return StandardisedNetwork(type("Conv2d", (Standardised,), {}))


FAST = {
    "lite0": lite0,
    "dense": dense_network,
    "3-D ResNet": volume_network,
    "transformer": vision_transformer,
    "transformer with scales": scaled_transformer,
}
"""Networks with rules for all layers."""
MIXED = {
    "windows": window_transformer,
    "ConvNeXt": modern_convolutions,
    "attention": AttentionNetwork,
    "shared layers": SharedLayers,
    "upward": UpwardConvolution,
    "standardised": lambda: StandardisedNetwork(Standardised),
}
"""Networks with layers that ``torch.func`` differentiates, or that share parameters."""
SLOW = {"hidden use": HiddenUse, "impostor": impostor}
"""Networks that need a pass for each image."""


@cache
def build(make_network: Callable[[], nn.Module]) -> tuple[nn.Module, Tensor]:
    """Returns a network as after some training, and images for it."""
    torch.manual_seed(0)
    network = make_network().double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    size = (16, 16, 16) if make_network is volume_network else (32, 32)
    return network, torch.rand(IMAGES, 3, *size, dtype=torch.double)


def batch_of(images: Tensor) -> Batch:
    return Batch({"OT": (images,)}, {CLASS: torch.arange(len(images)) % CLASSES}, torch.arange(len(images)))


def looped_diagonal(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The exact Fisher information, one image and one class at a time."""
    totals = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        log_probs = network(image[None])[0].log_softmax(0)
        for log_prob in log_probs:
            gradients = torch.autograd.grad(log_prob, list(network.parameters()), retain_graph=True, allow_unused=True)
            for total, gradient in zip(totals.values(), gradients, strict=True):
                if gradient is not None:
                    total += log_prob.exp().detach() * gradient.square() / len(images)
    return totals


def assert_equal(diagonal: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The squared gradient of a bias in front of a norm is rounding alone, far below all others."""
    smallest = 1e-15 * max(float(value.max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(diagonal[name], value, rtol=1e-6, atol=smallest, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("make_network", {**FAST, **MIXED, **SLOW}.values(), ids={**FAST, **MIXED, **SLOW})
def test_the_fisher_information_equals_a_loop_over_images(make_network: Callable[[], nn.Module]) -> None:
    network, images = build(make_network)
    diagonal = fisher_diagonal(
        network,
        [batch_of(images[:1]), batch_of(images[1:])],
        class_indices=tuple(range(CLASSES)),
        kind=FisherKind.EXACT,
        generator=torch.Generator(),
    )
    assert_equal(diagonal, looped_diagonal(network, images))


@pytest.mark.parametrize("make_network", [lite0, vision_transformer, volume_network, SharedLayers])
def test_the_information_of_an_output_equals_a_loop_over_images(make_network: Callable[[], nn.Module]) -> None:
    network, images = build(make_network)
    totals = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    generator = torch.Generator().manual_seed(3)
    signs = torch.randint(2, (IMAGES, CLASSES), generator=generator) * 2 - 1
    for image, vector in zip(images, signs, strict=True):
        output = torch.tanh(network(image[None]))[0] @ vector.double()
        for total, gradient in zip(
            totals.values(), torch.autograd.grad(output, list(network.parameters())), strict=True
        ):
            total += 2.0 * gradient.square() / IMAGES
    diagonal = gaussian_fisher_diagonal(
        network,
        lambda batch, _: torch.tanh(network(batch)),
        [batch_of(images)],
        generator=generator.manual_seed(3),
        inverse_variance=2.0,
    )
    assert_equal(diagonal, totals)


@pytest.mark.parametrize("make_network", {**FAST, **MIXED}.values(), ids={**FAST, **MIXED})
def test_images_go_through_the_network_together(make_network: Callable[[], nn.Module]) -> None:
    network, images = build(make_network)
    gradients = SquaredGradients(network, lambda batch, _: network(batch))
    gradients.forward(images, torch.zeros(IMAGES))
    assert gradients.plan is not None
    layers = {name: gradients._function.get_submodule(name) for name in gradients.plan.layer_parameters}
    has_rules = all(find_rule(layer) for layer in layers.values())
    assert has_rules == (make_network in FAST.values() or make_network is SharedLayers)


@pytest.mark.parametrize("make_network", SLOW.values(), ids=SLOW)
def test_a_network_that_no_rule_explains_is_differentiated_image_by_image(
    make_network: Callable[[], nn.Module],
) -> None:
    network, images = build(make_network)
    gradients = SquaredGradients(network, lambda batch, _: network(batch))
    gradients.forward(images, torch.zeros(IMAGES))
    assert gradients.plan is None


def test_tokens_become_a_copy_for_each_image() -> None:
    network, images = build(scaled_transformer)
    gradients = SquaredGradients(network, lambda batch, _: network(batch))
    gradients.forward(images, torch.zeros(IMAGES))
    assert gradients.plan is not None
    assert {name.removeprefix("network.") for name in gradients.plan.repeated} == {
        "cls_token",
        "reg_token",
        "pos_embed",
    }


def test_norms_without_running_statistics_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(
        ValueError, match="network layer 1: batch normalisation without running statistics mixes images"
    ):
        gaussian_fisher_diagonal(
            network, lambda images, _: network(images), [batch_of(torch.rand(4, 3, 8, 8))], torch.Generator()
        )


def test_answers_that_depend_on_other_images_are_refused() -> None:
    network = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="the answer to an image depends on the other images of its batch"):
        gaussian_fisher_diagonal(
            network,
            lambda images, _: network(images.mean((2, 3))).softmax(0),
            [batch_of(torch.rand(4, 3, 8, 8))],
            torch.Generator(),
        )


def test_a_layer_that_only_later_images_reach_is_refused() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, CLASSES), nn.Linear(3, CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            pixels = images.mean((2, 3))
            return (self.second if pixels.sum() > 0 else self.first)(pixels)

    network = Branches()
    with pytest.raises(ValueError, match=r"second: called for some images and not for the first ones"):
        gaussian_fisher_diagonal(
            network,
            lambda images, _: network(images),
            [batch_of(-torch.ones(2, 3, 8, 8)), batch_of(torch.ones(2, 3, 8, 8))],
            torch.Generator(),
        )
