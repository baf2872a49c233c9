"""The schemas of options, from the data class that declares them."""

import dataclasses
import types
import typing
from enum import Enum

from anamnesis.operator.api.record_fields import attribute_descriptions
from anamnesis.records import encode
from anamnesis.records.option_rules import BOUNDS

JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def options_schema(options: type) -> dict[str, dict[str, object]]:
    """Returns option -> JSON Schema with ``description``, ``type``, ``default`` and, for an enumeration, ``enum``.

    A group of options has ``description``, ``type: object`` and ``properties``: the schemas of its options.
    """
    hints, descriptions = typing.get_type_hints(options), attribute_descriptions(options)
    return {
        field.name: {"description": descriptions.get(field.name, ""), **_option_schema(hints[field.name], field)}
        for field in dataclasses.fields(options)
    }


def _option_schema(value_type: typing.Any, field: "dataclasses.Field[typing.Any]") -> dict[str, object]:
    if typing.get_origin(value_type) in (typing.Union, types.UnionType):  # X | None: none when it is left out
        value_type = next(member_type for member_type in typing.get_args(value_type) if member_type is not type(None))
    if dataclasses.is_dataclass(value_type):
        return {"type": "object", "properties": options_schema(typing.cast(type, value_type))}
    default = field.default.value if isinstance(field.default, Enum) else field.default
    if issubclass(value_type, Enum):
        return {"type": "string", "enum": [member.value for member in value_type], "default": default}
    if value_type not in JSON_TYPES:
        raise TypeError(
            f"option {field.name}: resources cannot hold the type {value_type}: this is a fault of the "
            f"code; its author must use {', '.join(JSON_TYPES.values())}, an enumeration or a dataclass of these"
        )
    bounds = field.metadata.get(BOUNDS)
    if value_type in (int, float) and bounds is None:
        raise TypeError(
            f"method option {field.name}: a number without bounds: this is a fault of the method's code; its author "
            "must declare it with a function of records/option_checks.py"
        )
    return {"type": JSON_TYPES[value_type], "default": default} | ({"bounds": encode(bounds)} if bounds else {})
