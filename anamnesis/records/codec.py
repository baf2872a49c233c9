"""Data classes to JSON values and back, with errors that name the field."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache

from anamnesis.records.errors import InputError

T = typing.TypeVar("T")

_ROOT = "top level of the document"
_TYPE_NAMES: Mapping[object, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Mapping: "an object with fields",
    list | tuple: "a list",
}


def encode(value: object) -> object:
    """Returns ``value`` as JSON: data classes to objects, tuples to arrays, decimals and enums to strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return str(value)
    return value


def encode_object(record: object) -> dict[str, object]:
    """Returns a data class as a JSON object."""
    return typing.cast(dict[str, object], encode(record))


def decode(kind: type[T], value: object, location: str = "") -> T:
    """Converts a JSON value to the type ``kind``.

    Args:
        kind: a data class, or any type that its fields may have: plain types, enums, decimals, tuples, mappings,
            unions.
        value: a result of ``json.loads``.
        location: the path of ``value`` in its document, for messages.

    Raises:
        InputError: a field is missing, is unknown or has the wrong type; the message names the path of the field.
    """
    return typing.cast(T, _decode(kind, value, location))


def _decode(kind: typing.Any, value: object, location: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (object, typing.Any):
        return value
    if origin in (types.UnionType, typing.Union):
        return _decode_union(arguments, value, location)
    if origin is tuple:
        return _decode_tuple(arguments, value, location)
    if origin is not None and issubclass(origin, Mapping):
        items = _expect(Mapping, value, location)
        return {str(key): _decode(arguments[1], item, f"{location}.{key}") for key, item in items.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast(type, kind), value, location)
    return _decode_plain(kind, value, location)


def _decode_union(arguments: tuple[typing.Any, ...], value: object, location: str) -> object:
    if value is None and type(None) in arguments:
        return None
    errors = []
    for argument in arguments:
        if argument is not type(None):
            try:
                return _decode(argument, value, location)
            except InputError as error:
                errors.append(str(error))
    raise InputError(errors[0])


def _decode_tuple(arguments: tuple[typing.Any, ...], value: object, location: str) -> tuple[object, ...]:
    items = _expect(list | tuple, value, location)
    if arguments[-1] is Ellipsis:
        item_kinds = (arguments[0],) * len(items)
    elif len(arguments) == len(items):
        item_kinds = arguments
    else:
        raise InputError(f"{location or _ROOT}: expected {len(arguments)} items, found {len(items)}")
    return tuple(
        _decode(kind, item, f"{location}[{i}]") for i, (kind, item) in enumerate(zip(item_kinds, items, strict=True))
    )


@cache
def _type_hints(kind: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(kind)


def _decode_dataclass(kind: type, value: object, location: str) -> object:
    items = _expect(Mapping, value, location)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if unknown_fields := sorted(set(items) - set(fields)):
        raise InputError(
            f"{location or kind.__name__}: unknown field {unknown_fields[0]!r}; the fields are {', '.join(fields)}"
        )
    field_values = {}
    for name, field in fields.items():
        path = f"{location}.{name}" if location else name
        if name in items:
            field_values[name] = _decode(_type_hints(kind)[name], items[name], path)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{path}: the field is missing; {kind.__name__} requires it")
    return kind(**field_values)


def _decode_plain(kind: typing.Any, value: object, location: str) -> object:
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(str(member.value) for member in kind)
            raise InputError(f"{location or _ROOT}: expected one of {allowed}, found {value!r}") from None
    if kind is Decimal:
        try:
            number = Decimal(_expect(str, value, location))
        except InvalidOperation:
            raise InputError(f"{location or _ROOT}: expected a decimal in quotes, found {value!r}") from None
        if not number.is_finite():
            raise InputError(f"{location or _ROOT}: expected a finite decimal in quotes, found {value!r}")
        return number
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf's Struct returns every JSON number as a float
    return _expect(kind, value, location)


def _expect(kind: typing.Any, value: typing.Any, location: str) -> typing.Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
        type_name = _TYPE_NAMES.get(kind) or getattr(kind, "__name__", str(kind))
        raise InputError(f"{location or _ROOT}: expected {type_name}, found {value!r:.80}")
    return value
