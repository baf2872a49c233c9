"""Where the pods of runs may be placed: tolerations, node labels and node affinity."""

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import LabelName, LabelValue, OptionalLabelName
from anamnesis.operator.api.value_types import InOrder, UniqueItems

_KEY_UNKNOWN_MESSAGE = "a toleration without a key needs operator: Exists, because it tolerates every taint"
_VALUE_UNUSED_MESSAGE = "operator Exists compares no value; remove value, or set operator: Equal"


class TolerationSpec(ApiModel):
    """A taint that the pods of updates tolerate."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.key != '' || self.operator == 'Exists'", _KEY_UNKNOWN_MESSAGE),
            ("self.operator != 'Exists' || self.value == ''", _VALUE_UNUSED_MESSAGE),
        )
    )

    key: OptionalLabelName = ""
    """Key of the taint. Empty, with operator Exists, tolerates every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Equal compares key and value of the taint, Exists only the key."""
    value: LabelValue = ""
    """Value of the taint."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Effect of the taint. Empty tolerates every effect."""

    @model_validator(mode="after")
    def _check_key_and_value(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise ValueError(_KEY_UNKNOWN_MESSAGE)
        if self.operator == "Exists" and self.value:
            raise ValueError(_VALUE_UNUSED_MESSAGE)
        return self


class NodeLabel(ApiModel):
    """A label that a node must have to run the pods."""

    name: LabelName
    """Key of the label, for example nvidia.com/gpu.product."""
    value: LabelValue
    """Value of the label."""


_VALUES_UNUSED_MESSAGE = "operators Exists and DoesNotExist compare no values; remove values"
_VALUES_MISSING_MESSAGE = "operators In and NotIn need values; add at least one"
_NUMBER_MISSING_MESSAGE = "operators Gt and Lt compare with one whole number; set values to it alone"


class NodeExpression(ApiModel):
    """A condition on one label of a node."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("!(self.operator in ['Exists', 'DoesNotExist']) || self.values.size() == 0", _VALUES_UNUSED_MESSAGE),
            ("!(self.operator in ['In', 'NotIn']) || self.values.size() > 0", _VALUES_MISSING_MESSAGE),
            (
                "!(self.operator in ['Gt', 'Lt']) || "
                "(self.values.size() == 1 && self.values.all(value, value.matches('^[0-9]+$')))",
                _NUMBER_MISSING_MESSAGE,
            ),
        )
    )

    key: LabelName
    """Key of the label, for example nvidia.com/gpu.memory."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the label is compared."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32), UniqueItems] = ()
    """Values that the label is compared with."""

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(_VALUES_UNUSED_MESSAGE)
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(_VALUES_MISSING_MESSAGE)
        if self.operator in ("Gt", "Lt") and (len(self.values) != 1 or not re.fullmatch("[0-9]+", self.values[0])):
            raise ValueError(_NUMBER_MISSING_MESSAGE)
        return self


class NodeAffinitySpec(ApiModel):
    """Conditions that a node meets together. Of several entries without a weight, a node must meet one."""

    weight: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """How much a node that meets the conditions is preferred, from 1 to 100. If omitted, a node must meet them."""
    match_expressions: Annotated[tuple[NodeExpression, ...], Field(min_length=1, max_length=8), InOrder]
    """The conditions; a node meets all of them."""
