"""The network of a model and the budget of its training."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.value_types import PositiveDecimal, Share

PositiveCount = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
_GROUP_COUNT = 8
_GROUP_WIDTH_MESSAGE = (
    f"norm Group needs a width that is a multiple of {_GROUP_COUNT}, because it splits the channels into groups"
)
SideLength = Annotated[int, Field(ge=8, le=1024, strict=True)]


class InputSpec(ApiModel):
    """The input of the network. Every image is resized to it."""

    channels: Literal[1, 3] = 1
    """Colour channels: 1 for grey, 3 for RGB."""
    size: Annotated[tuple[SideLength, ...], Field(min_length=2, max_length=2)] = (64, 64)
    """Height and width in pixels."""


class NetworkSpec(ApiModel):
    """The network. A model with another network is a new model: it starts without a champion."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (f"self.norm != 'Group' || self.width % {_GROUP_COUNT} == 0", _GROUP_WIDTH_MESSAGE)
        ),
    )

    name: Literal["SmallCNN", "ResNet18"] = "SmallCNN"
    """Architecture of the network."""
    input: InputSpec = InputSpec()
    norm: Literal["Group", "Batch"] = "Group"
    """Normalisation of the layers."""
    width: Annotated[int, Field(ge=4, le=512, strict=True)] = 32
    """Channels of the first layer; they determine all others. With norm Group, a multiple of 8."""

    @model_validator(mode="after")
    def _check_width_fits_groups(self) -> Self:
        if self.norm == "Group" and self.width % _GROUP_COUNT:
            raise ValueError(f"{_GROUP_WIDTH_MESSAGE}, found {self.width}")
        return self


class TrainingSpec(ApiModel):
    """Budget, optimiser and numeric precision of an update."""

    epochs: PositiveCount = 8
    """Passes over the Site's training split."""
    batch_size: PositiveCount = 32
    """Images per step."""
    learning_rate: PositiveDecimal = Decimal("0.001")
    """Step size of the optimiser, a decimal in quotes."""
    optimiser: Literal["AdamW", "SGD"] = "AdamW"
    """The optimiser."""
    weight_decay: Share = Decimal("0.0001")
    """Decoupled weight decay of the optimiser, a decimal in quotes."""
    augmentation: Literal["Enabled", "Disabled"] = "Enabled"
    """Enabled: training images are randomly shifted and rotated a little."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)] = 0
    """Seed of all random numbers: equal seeds give equal versions."""
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)] = 1
    """CPU threads of the training step. The number changes the last bits of the result."""
    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    """Number format of the forward pass. Auto selects BFloat16 if the processor computes it fast."""
