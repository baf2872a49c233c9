"""A score with its interval, as statuses show it."""

from typing import Annotated

from pydantic import Field

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.value_types import DecimalString

NonNegativeInt = Annotated[int, Field(ge=0)]


class Score(StatusModel):
    """The primary metric on one set of cases."""

    value: DecimalString
    """The estimate."""
    low: DecimalString | None = None
    """Lower bound of its 95 % interval over patients."""
    high: DecimalString | None = None
    """Upper bound of its 95 % interval over patients."""
    cases: NonNegativeInt = 0
    """Number of cases that it was measured on."""
    patients: NonNegativeInt = 0
    """Number of their patients; 0 where it was not counted or is below 10."""
