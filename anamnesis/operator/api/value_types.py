"""Values as Kubernetes writes them: decimals as strings, times in whole seconds, lists without duplicates."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import DECIMAL_PATTERN
from anamnesis.records.timestamps import format_timestamp


def parse_decimal(value: object) -> Decimal:
    """Returns the decimal that a string holds.

    Raises:
        ValueError: the value is not a string with a decimal.
    """
    if not isinstance(value, str):
        raise ValueError(f'expected a decimal in quotes, like "0.80", found {value!r}')
    if len(value) > 32 or not re.fullmatch(DECIMAL_PATTERN, value):
        raise ValueError(f'expected a decimal, like "0.80", found {value!r}')
    return Decimal(value)


def decimal_schema(*cel_pairs: tuple[str, str]) -> dict[str, Any]:
    """Returns the schema of a decimal in quotes, with further CEL rules."""
    return {"type": "string", "maxLength": 32, "pattern": DECIMAL_PATTERN} | (
        cel_rules(*cel_pairs) if cel_pairs else {}
    )


DecimalString = Annotated[Decimal, BeforeValidator(parse_decimal), WithJsonSchema(decimal_schema())]
Share = Annotated[
    DecimalString,
    Field(ge=0, le=1),
    WithJsonSchema(decimal_schema(("double(self) >= 0.0 && double(self) <= 1.0", "expected a decimal from 0 to 1"))),
]
"""A decimal from 0 to 1."""
OpenShare = Annotated[
    DecimalString,
    Field(gt=0, lt=1),
    WithJsonSchema(
        decimal_schema(("double(self) > 0.0 && double(self) < 1.0", "expected a decimal above 0 and below 1"))
    ),
]
"""A decimal between 0 and 1; neither of them."""
PositiveDecimal = Annotated[
    DecimalString,
    Field(gt=0, le=1_000_000),
    WithJsonSchema(
        decimal_schema(
            ("double(self) > 0.0 && double(self) <= 1000000.0", "expected a decimal above 0 and up to 1000000")
        )
    ),
]
NonNegativeDecimal = Annotated[
    DecimalString,
    Field(ge=0, le=1_000_000),
    WithJsonSchema(
        decimal_schema(("double(self) >= 0.0 && double(self) <= 1000000.0", "expected a decimal from 0 to 1000000"))
    ),
]

Timestamp = Annotated[datetime, PlainSerializer(format_timestamp, return_type=str)]
"""A time in whole seconds, UTC."""


@dataclass(frozen=True, slots=True)
class UniqueBy:
    """A list without equal items; with ``keys``, items with equal values of these fields are equal.

    The order of the items means nothing to the API server. ``OrderedUniqueItems`` is for lists where it matters.
    """

    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Adds the check after that of the items."""
        return core_schema.no_info_after_validator_function(self._check_unique, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds the keys for the API server, which also merges lists by them."""
        if not self.keys:
            return handler(core) | {"x-kubernetes-list-type": "set"}
        return handler(core) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.keys)}

    def _check_unique(self, items: Sequence[Any]) -> Sequence[Any]:
        previous_keys = set()
        for item in items:
            key = tuple(getattr(item, key) for key in self.keys) or (item,)
            if key in previous_keys:
                raise ValueError(f"{', '.join(map(repr, key))} is listed twice; remove one")
            previous_keys.add(key)
        return items


_UNIQUE_MESSAGE = "expected each item once; remove the second one"


@dataclass(frozen=True, slots=True)
class Atomic:
    """A list whose order means something: the API server never merges or reorders it, and compares it in order."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds the type of the list."""
        return handler(core) | {"x-kubernetes-list-type": "atomic"}


@dataclass(frozen=True, slots=True)
class AtomicUnique(UniqueBy):
    """A list of texts without equal items whose order means something."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds the type of the list, and the rule that the API server checks itself in a set."""
        rules = cel_rules(("self.all(item, self.exists_one(other, other == item))", _UNIQUE_MESSAGE))
        return handler(core) | {"x-kubernetes-list-type": "atomic"} | rules


InOrder = Atomic()
OrderedUniqueItems = AtomicUnique()
UniqueItems = UniqueBy()
UniqueNames = UniqueBy(("name",))
