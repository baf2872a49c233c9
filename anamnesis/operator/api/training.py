"""The budget of the training of a model."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.value_types import PositiveDecimal, Share

PositiveCount = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class TrainingSpec(ApiModel):
    """Budget, optimiser and numeric precision of an update."""

    epochs: PositiveCount = 8
    """Passes over the Site's training split."""
    batch_size: PositiveCount = 32
    """Images per step."""
    learning_rate: PositiveDecimal | None = None
    """Step size of the optimiser, a decimal in quotes. Without it, later updates take that of the version that they
    start from, and the first update chooses it by a short test on training patients."""
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
