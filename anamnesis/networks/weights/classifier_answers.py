"""Compares an imported classifier with the library's own, on random images: the head must read what it learned to."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.weights.fitting import LinearHead
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.network_options import TIMM_PREFIX

_IMAGES, _TOLERANCE = 2, 1e-3


def probe_images(settings: NetworkSettings) -> Tensor:
    """Returns random images [2, C, *sides] in [0, 1], the same ones for a network."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(_IMAGES, settings.channels, *settings.size, generator=generator)


def are_equal_answers(logits: Tensor, expected_logits: Tensor) -> bool:
    """Returns whether logits [N, K] differ by rounding alone."""
    scale = float(expected_logits.abs().max())
    return torch.allclose(logits, expected_logits, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)


def head_answers(backbone: Backbone, head: LinearHead, images: Tensor) -> Tensor:
    """Returns the logits [N, K] of a head on the mean of the last maps, as every method composes them."""
    return functional.linear(backbone.pool(backbone(images)), head.weight, head.bias)


@torch.no_grad()
def check_head(backbone: Backbone, settings: NetworkSettings, head: LinearHead, location: str) -> None:
    """Refuses a head that reads something else than the mean of the last maps, where timm has the classifier.

    A classifier of MONAI or torchvision reads their mean, and so does one of ours.

    Args:
        backbone: with the weights of the file.
        settings: of the network.
        head: of the file.
        location: of the file, for messages.

    Raises:
        InputError: timm's classifier gives other answers.
    """
    if not settings.type.startswith(TIMM_PREFIX):
        return
    from anamnesis.networks.timm_network import timm_classifier

    classifier = timm_classifier(settings, classes=len(head.weight))
    last_layer = classifier.get_classifier()
    if isinstance(last_layer, nn.Linear) and last_layer.weight.shape == head.weight.shape:
        last_layer.load_state_dict({"weight": head.weight, "bias": head.bias}, strict=False)
        classifier.load_state_dict(backbone.library_module.state_dict(), strict=False)
        images = probe_images(settings)
        timm_logits = classifier(backbone.normalise(images))
        backbone.eval()
        if are_equal_answers(head_answers(backbone, head, images), timm_logits):
            return
    raise InputError(
        f"{location}: the head of {settings.type} does not read the mean of the last feature maps, as methods here do, "
        "but for example the class token or a normalised mean: the imported version would give other answers than the "
        "classifier; set network.weights to start from its backbone alone, or import a classifier with average pooling"
    )
