"""Imports an existing classifier as the first version of a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from anamnesis.methods import Method, PredictionRequest, build_method
from anamnesis.networks import Backbone, build_backbone
from anamnesis.networks.weights import (
    LinearHead,
    WeightsFile,
    detect_format,
    find_mapping,
    fit_backbone,
    read_weights_file,
)
from anamnesis.networks.weights.classifier_answers import are_equal_answers, check_head, head_answers, probe_images
from anamnesis.networks.weights.mappings import OWN_MAPPING
from anamnesis.records import (
    ChannelRule,
    Configuration,
    InputError,
    NetworkSettings,
    Task,
    Version,
    digest_bytes,
    encode_object,
)
from anamnesis.registry.promotion import import_champion
from anamnesis.registry.versions import write_version
from anamnesis.storage.store import Store
from anamnesis.updates.model import Experience, LoadedModel, VersionDescription, version_parts
from anamnesis.updates.pretrained import PretrainedTensors
from anamnesis.updates.site_features import SiteFeatures


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """An existing classifier.

    Attributes:
        weights: file with a state_dict of the network and its linear head; safetensors, PyTorch or a MONAI bundle.
        site: where the weights were trained; later updates measure the forgetting there.
        task: its classes are the rows of the head, in order.
        configuration: the network, and the method of later updates.
        mapping: name of the mapping; empty: the file's names are the network's.
        channel_rule: how the first convolution is converted to another number of channels.
    """

    weights: Path
    site: str
    task: Task
    configuration: Configuration
    mapping: str = ""
    channel_rule: ChannelRule = ChannelRule.REFUSE


@dataclass(frozen=True, slots=True)
class _Classifier:
    """What a file holds: a backbone with the weights of the file, its head, and the tensors to store."""

    backbone: Backbone
    head: LinearHead
    pretrained: PretrainedTensors


def import_weights(store: Store, request: ImportRequest, author: str, reason: str) -> str:
    """Makes a version of a classifier and promotes it as the first of its registry.

    What the classifier does not have, such as a decoder, sums or Fisher information, is as at the start of the method.

    Args:
        store: the model's registry.
        request: the classifier.
        author: of the log entry.
        reason: of the log entry.

    Returns:
        The version's digest.

    Raises:
        InputError: the file is unreadable, or does not fit the network or the task; the message lists the names. Or
            the version would give other answers than the classifier.
        ConflictError: the registry has a champion already.
    """
    configuration = request.configuration.identity
    description = VersionDescription(configuration, (Experience(request.site, request.task),))
    classifier = _read_classifier(request)
    method = build_method(configuration)
    method.load_pretrained(classifier.pretrained.tensors)
    method.import_head(classifier.head.weight, classifier.head.bias, request.site)
    _check_method(method, classifier, configuration)
    features = SiteFeatures(configuration.network.channels)
    parts = version_parts(LoadedModel(method, description, features, pretrained=classifier.pretrained))
    version = Version(
        base=None,
        snapshot=None,
        site=request.site,
        configuration=encode_object(configuration),
        parts=parts.digests,
    )
    import_champion(store, write_version(store, version, parts.blobs), author, reason)
    return version.digest


def _read_classifier(request: ImportRequest) -> _Classifier:
    network, location = request.configuration.network, str(request.weights)
    weights_file = _read_file(request.weights, network)
    backbone = build_backbone(network, seed=0).eval()
    mapping, channel_rule = request.mapping, request.channel_rule
    if network.weights:
        mapping, channel_rule = mapping or network.weights.mapping, network.weights.channels
    fitted = fit_backbone(backbone, network, weights_file, mapping, channel_rule)
    head, labels = fitted.head, request.task.labels
    if head is None or len(head.weight) != len(labels):
        rows = "no head" if head is None else f"a head of {len(head.weight)} rows"
        raise InputError(
            f"{location}: expected a linear head with a row for each of {', '.join(labels)}, found {rows}; correct the "
            "classes of the Site, or set network.weights to start from the backbone alone"
        )
    if head.weight.shape[1] != backbone.width_out:
        raise InputError(
            f"{location}: the head reads {head.weight.shape[1]} features, but {network.type} has {backbone.width_out} "
            "after pooling; set network.type and options to those of the file"
        )
    if find_mapping(mapping, network.type).name != OWN_MAPPING:
        check_head(backbone, network, head, location)
    blob = save({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()})
    return _Classifier(backbone, head, PretrainedTensors(load(blob), digest_bytes(blob), blob, fitted.notes))


@torch.no_grad()
def _check_method(method: Method[Any], classifier: _Classifier, configuration: Configuration) -> None:
    """Refuses a method that cannot answer as the classifier: cells of a grid may overlap, and then have no mean."""
    images = probe_images(configuration.network)
    expected = head_answers(classifier.backbone, classifier.head, images).softmax(1)
    answers = method.predict(images, PredictionRequest()).logits
    if answers is None or not are_equal_answers(answers.softmax(1), expected):
        cells = list(classifier.backbone(images).shape[2:])
        raise InputError(
            f"method.name: {configuration.method} would give other answers than the imported classifier: its grid does "
            f"not divide the feature maps of {cells} cells evenly; set grid in method.options to 1 or to the number of "
            "cells of a side, or choose another method"
        )


def _read_file(path: Path, network: NetworkSettings) -> WeightsFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: unreadable weights: {error.strerror}; correct the path") from error
    if network.weights and network.weights.sha256 != (digest := digest_bytes(data)):
        raise InputError(
            f"{path}: the digest of the file is {digest}, but network.weights.sha256 is {network.weights.sha256}: the "
            "model would have two starts; remove network.weights, or import the file that it names"
        )
    return read_weights_file(data, detect_format(data), str(path))
