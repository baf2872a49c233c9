"""The network of a model: its architecture, its input, the weights that it starts from, and what is frozen."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import RULES_KEYWORD, cel_rules
from anamnesis.operator.api.network_types import NETWORK_RULES, convert_network_options, options_field_schema
from anamnesis.operator.api.string_types import Digest, FrozenStages, NetworkType, Sentence, WeightsUrl
from anamnesis.operator.api.value_types import DecimalString, InOrder, PositiveDecimal

SideLength = Annotated[int, Field(ge=8, le=4096, strict=True)]
_PATCHES_MESSAGE = "patches need three sides in size, and at least those in patches.volume"
_NORMALISATION_MESSAGE = "mean and std need one number, or one for each channel"


class NormalisationSpec(ApiModel):
    """The range that the network expects: it reads (image - mean) / std, with images from 0 to 1."""

    mean: Annotated[tuple[DecimalString, ...], Field(min_length=1, max_length=3), InOrder]
    """Mean of each channel, or one number for all; decimals in quotes."""
    std: Annotated[tuple[PositiveDecimal, ...], Field(min_length=1, max_length=3), InOrder]
    """Standard deviation of each channel, or one number for all; decimals in quotes."""


class PatchesSpec(ApiModel):
    """Patches of volumes: each volume is resized to one size, and the network reads patches of it."""

    volume: Annotated[tuple[SideLength, ...], Field(min_length=3, max_length=3)]
    """Depth, height and width of the resized volume in voxels."""
    sampler: Literal["Random", "ForegroundBalanced"] = "Random"
    """Places of patches in training: anywhere, or half of them around a voxel of the mask's foreground."""
    per_volume: Annotated[int, Field(ge=1, le=64, strict=True)] = 2
    """Patches of each volume in a batch."""


class InputSpec(ApiModel):
    """The input of the network. Every image is resized to it."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "!has(self.normalisation) || [self.normalisation.mean, self.normalisation.std].all(numbers, "
                "size(numbers) == 1 || size(numbers) == self.channels)",
                _NORMALISATION_MESSAGE,
            ),
            (
                "!has(self.patches) || size(self.size) == 3 && [0, 1, 2].all(side, self.size[side] <= "
                "self.patches.volume[side])",
                _PATCHES_MESSAGE,
            ),
        )
    )

    channels: Literal[1, 3] = 1
    """Colour channels: 1 for grey, 3 for RGB."""
    size: Annotated[tuple[SideLength, ...], Field(min_length=2, max_length=3)] = (64, 64)
    """Height and width in pixels; of a volume depth, height and width in voxels."""
    normalisation: NormalisationSpec | None = None
    """Mean and standard deviation of images from 0 to 1. If omitted, those of the weights or of the network."""
    patches: PatchesSpec | None = None
    """Patches of volumes, with the sides of size. If omitted, a network of three sides reads volumes whole."""

    @model_validator(mode="after")
    def _check_patches(self) -> Self:
        if self.patches and not (
            len(self.size) == 3 and all(side <= of for side, of in zip(self.size, self.patches.volume, strict=True))
        ):
            raise ValueError(f"patches: {_PATCHES_MESSAGE}, found {list(self.size)} and {list(self.patches.volume)}")
        return self

    @model_validator(mode="after")
    def _check_normalisation(self) -> Self:
        if self.normalisation:
            counts = {len(self.normalisation.mean), len(self.normalisation.std)}
            if not counts <= {1, self.channels}:
                raise ValueError(f"normalisation: {_NORMALISATION_MESSAGE}, found {sorted(counts)}")
        return self


class WeightsSpec(ApiModel):
    """A file of weights. Its digest decides; the address is only a place."""

    url: WeightsUrl
    """Where the file is: a path, s3://bucket/prefix/name, or package://package/name of an installed Python package."""
    sha256: Digest
    """Digest of the file's bytes."""
    format: Literal["Safetensors", "PyTorch", "MONAIBundle"] = "Safetensors"
    """Format of the file. A PyTorch file may hold tensors only."""
    mapping: Annotated[str, StringConstraints(max_length=128)] = ""
    """Name of the rule from the names in the file to those of the network. If omitted, they are equal."""
    channels: Literal["Refuse", "Sum", "Mean"] = "Refuse"
    """How the first convolution gets another number of channels than the file has. Refuse: such a file is an error."""
    licence: Sentence = ""
    """Licence of the weights, as the report shows it."""


class NetworkSpec(ApiModel):
    """The network. A model with another network is a new model: it starts without a champion."""

    type: NetworkType = "SmallCNN"
    """Library and architecture: SmallCNN, ResNet18, timm/<model> or monai/<network>."""
    input: InputSpec = InputSpec()
    options: Mapping[str, Any] = {}
    """Arguments of the architecture."""
    weights: WeightsSpec | None = None
    """The weights that the network starts from. If omitted, it starts at random."""
    frozen: FrozenStages = "Nothing"
    """What never learns: Nothing, All, or Stages 1-4 for the layers up to that feature level."""
    batch_statistics: Literal["Learned", "Frozen"] = "Learned"
    """Frozen: batch normalisations keep the statistics that they start with."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds the options of all types, and the rules about which type has which."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"]["options"] = options_field_schema() | {"default": {}}
        schema[RULES_KEYWORD] = [*schema.get(RULES_KEYWORD, []), *cel_rules(*NETWORK_RULES)[RULES_KEYWORD]]
        return schema

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        convert_network_options(self.type, self.options, self.input.size)
        return self

    def resolved_options(self) -> dict[str, object]:
        """Returns all options in snake case, with their defaults: a later default changes no older model."""
        return convert_network_options(self.type, self.options, self.input.size)
