"""Records as typed parts of a resource: the schema is made from the data class, so nothing is written twice.

Every field is required, so that a new default changes no old resource; an optional field that is left out is none.
Floats and decimals are strings, as everywhere in resources.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache

from pydantic import Field, GetCoreSchemaHandler, StringConstraints, create_model
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.option_values import format_options, parse_options
from anamnesis.operator.api.string_types import NUMBER_PATTERN
from anamnesis.records import InputError, decode, encode_object

_EXACT_INTEGERS = 2**53
"""Up to here a JSON number is exact in every program."""
_MAXIMUM_ITEMS = 256
_LIST_SCHEMA: JsonDict = {"x-kubernetes-list-type": "atomic"}
_NUMBER_TYPE = typing.Annotated[str, StringConstraints(pattern=NUMBER_PATTERN, max_length=64)]
_TEXT_TYPE = typing.Annotated[str, StringConstraints(max_length=2048)]
_OPTIONS = Mapping[str, object]
_FIELD_TYPES: Mapping[object, object] = {
    str: _TEXT_TYPE,
    bool: typing.Annotated[bool, Field(strict=True)],
    int: typing.Annotated[int, Field(strict=True, ge=-_EXACT_INTEGERS, le=_EXACT_INTEGERS)],
    float: _NUMBER_TYPE,
    Decimal: _NUMBER_TYPE,
    _OPTIONS: typing.Annotated[Mapping[str, _TEXT_TYPE], Field(max_length=_MAXIMUM_ITEMS)],
}
Convert = Callable[[typing.Any], object]


class RecordField:
    """Annotation of a field that holds a data class: ``Annotated[UpdateRequest, RecordField()]``."""

    def __get_pydantic_core_schema__(self, record_type: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Takes a record, or what the resource holds of it; the value is always a record."""

        def validate(value: object, validate_model: core_schema.ValidatorFunctionWrapHandler) -> object:
            if isinstance(value, record_type):
                to_resource(value)  # checks its limits
                return value
            return to_record(record_type, validate_model(value))

        return core_schema.no_info_wrap_validator_function(
            validate,
            handler.generate_schema(record_model(record_type)),
            serialization=core_schema.plain_serializer_function_ser_schema(to_resource),
        )


def to_resource(record: object) -> dict[str, object]:
    """Returns a data class as the resource holds it: camelCase, numbers with a fraction as strings, no nulls.

    Raises:
        ValidationError: it is larger than the resource may be.
    """
    record_type: typing.Any = type(record)
    fields = _convert_leaves(record_type, encode_object(record), {float: repr, _OPTIONS: format_options})
    model = record_model(record_type).model_validate(fields, by_name=True, by_alias=False)
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_record(record_type: type, model: ApiModel) -> object:
    """Returns the data class that a part of a resource holds.

    Raises:
        ValueError: the values do not fit together; the message names the field.
    """
    values = _convert_leaves(record_type, model.model_dump(by_alias=False), {float: float, _OPTIONS: parse_options})
    try:
        return decode(record_type, values)
    except InputError as error:
        raise ValueError(str(error)) from None


@cache
def record_model(record_type: type) -> type[ApiModel]:
    """Returns the type of a resource's part that holds the data class, described by its docstring."""
    hints, descriptions = _type_hints(record_type), attribute_descriptions(record_type)
    fields: dict[str, typing.Any] = {
        field.name: (
            _field_type(hints[field.name]),
            Field(None if _is_optional(hints[field.name]) else ..., description=_sentence(descriptions[field.name])),
        )
        for field in dataclasses.fields(record_type)
    }
    docstring = inspect.cleandoc(record_type.__doc__ or "").partition("\n\nAttributes:")[0]
    return create_model(f"{record_type.__name__}Fields", __base__=ApiModel, __doc__=docstring, **fields)


def attribute_descriptions(record_type: type) -> dict[str, str]:
    """Returns field -> its description in the docstring, under ``Attributes``."""
    section = inspect.cleandoc(record_type.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


@cache
def _type_hints(record_type: typing.Any) -> Mapping[str, typing.Any]:
    return typing.get_type_hints(record_type)


def _sentence(description: str) -> str:
    return description[:1].upper() + description[1:]


def _is_optional(kind: object) -> bool:
    return type(None) in typing.get_args(kind)


def _field_type(kind: typing.Any) -> typing.Any:
    """Returns the bounded type of a field.

    Raises:
        TypeError: a resource cannot hold such a value.
    """
    arguments = typing.get_args(kind)
    if kind in _FIELD_TYPES:
        return _FIELD_TYPES[kind]
    if _is_optional(kind):
        return typing.Optional[_field_type(_without_none(kind))]  # noqa: UP045  (a type made at run time)
    if typing.get_origin(kind) is tuple:
        length = None if arguments[-1] is Ellipsis else len(arguments)
        limits = Field(min_length=length, max_length=length or _MAXIMUM_ITEMS, json_schema_extra=_LIST_SCHEMA)
        return typing.Annotated[tuple[_field_type(arguments[0]), ...], limits]  # type: ignore[misc]
    if typing.get_origin(kind) is Mapping:
        return typing.Annotated[Mapping[str, _field_type(arguments[1])], Field(max_length=_MAXIMUM_ITEMS)]  # type: ignore[misc]
    if dataclasses.is_dataclass(kind):
        return record_model(typing.cast(type, kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _TEXT_TYPE  # a number or a word; ``decode`` checks it
    if isinstance(kind, type) and issubclass(kind, Enum):
        return typing.Literal[tuple(member.value for member in kind)]
    raise TypeError(
        f"{kind}: a field of a resource cannot hold this type; this is a fault of the program; report it with the log"
    )


def _without_none(kind: object) -> object:
    arguments = [argument for argument in typing.get_args(kind) if argument is not types.NoneType]
    return arguments[0] if len(arguments) == 1 else typing.Union[tuple(arguments)]  # noqa: UP007  (made at run time)


def _convert_leaves(kind: typing.Any, value: typing.Any, conversions: Mapping[object, Convert]) -> typing.Any:
    """Returns the JSON of a record, with the values of some types converted."""
    if value is None:
        return None
    if kind in conversions:
        return conversions[kind](value)
    if _is_optional(kind):
        return _convert_leaves(_without_none(kind), value, conversions)
    if dataclasses.is_dataclass(kind):
        hints = _type_hints(typing.cast(type, kind))
        return {name: _convert_leaves(hints[name], item, conversions) for name, item in value.items()}
    if typing.get_origin(kind) is tuple:
        return [_convert_leaves(typing.get_args(kind)[0], item, conversions) for item in value]
    if isinstance(value, Mapping):
        return {name: _convert_leaves(typing.get_args(kind)[1], item, conversions) for name, item in value.items()}
    return value
