"""Loads a weights file into a backbone."""

import torch

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.modes import evaluation_mode
from anamnesis.networks.weights.file_formats import WeightsFile, check_digest, read_weights_file
from anamnesis.networks.weights.fitting import FittedWeights, NetworkShape, fit_weights
from anamnesis.networks.weights.mappings import find_mapping
from anamnesis.records import ChannelRule, InputError, NetworkSettings


def load_backbone_weights(backbone: Backbone, settings: NetworkSettings, data: bytes) -> tuple[str, ...]:
    """Puts the weights that ``settings.weights`` describes into ``backbone``.

    Args:
        backbone: of ``settings``.
        settings: with the digest, the format and the mapping of the file.
        data: all bytes of the file; their digest is checked before they are parsed.

    Returns:
        One sentence for each thing that was ignored or converted.

    Raises:
        InputError: another digest, a damaged file, more than tensors in it, or tensors that do not fit.
    """
    weights = settings.weights
    if weights is None:
        raise InputError("network.weights: missing; name a file of weights")
    location = weights.url or weights.sha256
    check_digest(data, weights.sha256, location)
    weights_file = read_weights_file(data, weights.format, location)
    fitted = fit_backbone(backbone, settings, weights_file, weights.mapping, weights.channels)
    return fitted.notes


def fit_backbone(
    backbone: Backbone, settings: NetworkSettings, weights: WeightsFile, mapping: str, channel_rule: ChannelRule
) -> FittedWeights:
    """Puts the tensors of ``weights`` into ``backbone`` and returns them, with the head that the file has.

    Raises:
        InputError: an unknown mapping, tensors that do not fit, or features that are not finite.
    """
    module = backbone.library_module
    shape = NetworkShape(settings.type, module.state_dict(), settings.channels, settings.size)
    fitted = fit_weights(weights, find_mapping(mapping, settings.type), shape, channel_rule)
    module.load_state_dict(fitted.tensors)
    _check_features(backbone, settings, weights.location)
    return fitted


def _check_features(backbone: Backbone, settings: NetworkSettings, location: str) -> None:
    """Computes the features of a grey ramp: finite weights can still give none, as with a variance below 0."""
    shape = (1, settings.channels, *settings.size)
    with evaluation_mode(backbone), torch.no_grad():
        features = backbone(torch.linspace(0, 1, torch.Size(shape).numel()).view(shape))
    if not features.isfinite().all():
        raise InputError(
            f"{location}: with these weights the features of an image are NaN or infinite: a number in the file is far "
            "too large, or a variance is below 0; use the weights of an earlier epoch"
        )
