"""What learns, and how much: network and training."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.value_types import PositiveDecimal, Share

PositiveCount = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
_GROUP_COUNT = 8
_GROUP_WIDTH_MESSAGE = (
    f"norm Group needs a width that is a multiple of {_GROUP_COUNT}: it takes channels in {_GROUP_COUNT} groups"
)
SideLength = Annotated[int, Field(ge=8, le=1024, strict=True)]


class InputSpec(ApiModel):
    """What the network reads: every image is resized to this."""

    channels: Literal[1, 3] = 1
    """Colour channels: 1 for grey, 3 for RGB."""
    size: Annotated[tuple[SideLength, ...], Field(min_length=2, max_length=2)] = (64, 64)
    """Height and width in pixels."""


class NetworkSpec(ApiModel):
    """Which network learns. Another network is another model: it begins without a champion."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (f"self.norm != 'Group' || self.width % {_GROUP_COUNT} == 0", _GROUP_WIDTH_MESSAGE)
        ),
    )

    name: Literal["SmallCNN", "ResNet18"] = "SmallCNN"
    """Its architecture."""
    input: InputSpec = InputSpec()
    norm: Literal["Group", "Batch"] = "Group"
    """Which normalisation its layers have."""
    width: Annotated[int, Field(ge=4, le=512, strict=True)] = 32
    """Channels of the first layer; all others follow from it. With norm Group a multiple of 8."""

    @model_validator(mode="after")
    def _check_width_fits_groups(self) -> Self:
        if self.norm == "Group" and self.width % _GROUP_COUNT:
            raise ValueError(f"{_GROUP_WIDTH_MESSAGE}, found {self.width}")
        return self


class TrainingSpec(ApiModel):
    """Budget and numerics of an update."""

    epochs: PositiveCount = 8
    """Passes over the site's training split."""
    batch_size: PositiveCount = 32
    """Images per step."""
    learning_rate: PositiveDecimal = Decimal("0.001")
    """Step size of the optimiser, a decimal in quotes."""
    optimiser: Literal["AdamW", "SGD"] = "AdamW"
    """What turns gradients into steps."""
    weight_decay: Share = Decimal("0.0001")
    """How strongly weights are drawn to 0, a decimal in quotes."""
    augmentation: Literal["Enabled", "Disabled"] = "Enabled"
    """Whether training images are shifted and rotated a little at random."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)] = 0
    """What all randomness comes from: equal seeds give equal versions."""
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)] = 1
    """Processor threads of the training step; the result depends on it in the last bits."""
    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    """Number format of the forward pass. Auto takes BFloat16 where the processor is fast at it."""
