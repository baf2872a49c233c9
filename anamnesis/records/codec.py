"""Data classes to JSON values and back, with errors that name the field."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
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


_PLAIN_TYPES = frozenset((str, int, float, bool, type(None)))


def encode(value: object) -> object:
    """Returns ``value`` as JSON: data classes to objects, tuples to arrays, decimals and enums to strings."""
    kind: typing.Any = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if (names := _field_names(kind)) is not None:
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return str(value)
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Returns the names of the fields of a data class, which may have no field; None for another type."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


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
    return typing.cast(T, _decoder(typing.cast(typing.Any, kind))(value, location))


_Path = str | tuple[typing.Any, str | int]
"""Where a value is in its document: the path of its parent, and its name or index. Only errors format it."""
_Decoder = Callable[[typing.Any, _Path], object]


def _format_path(path: _Path, default: str = _ROOT) -> str:
    if isinstance(path, str):
        return path or default
    parent, part = path
    location = _format_path(parent, "")
    if isinstance(part, int):
        return f"{location}[{part}]"
    return f"{location}.{part}" if location else part


@cache
def _decoder(kind: typing.Any) -> _Decoder:
    """Returns the function that decodes values of a type: types are inspected once, values are many."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (object, typing.Any):
        return lambda value, path: value
    if origin in (types.UnionType, typing.Union):
        return _union_decoder(arguments)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_decoder(arguments)
    if dataclasses.is_dataclass(kind):
        return _DataclassDecoder(typing.cast(type, kind))
    return _plain_decoder(kind)


def _union_decoder(arguments: tuple[typing.Any, ...]) -> _Decoder:
    decoders = tuple(_decoder(argument) for argument in arguments if argument is not type(None))
    is_optional = len(decoders) < len(arguments)

    def decode_union(value: typing.Any, path: _Path) -> object:
        if value is None and is_optional:
            return None
        errors = []
        for decoder in decoders:
            try:
                return decoder(value, path)
            except InputError as error:
                errors.append(str(error))
        raise InputError(errors[0])

    return decode_union


def _tuple_decoder(arguments: tuple[typing.Any, ...]) -> _Decoder:
    is_repeated = arguments[-1] is Ellipsis
    decoders = tuple(_decoder(argument) for argument in arguments if argument is not Ellipsis)

    def decode_tuple(value: typing.Any, path: _Path) -> object:
        items = _expect(list | tuple, value, path)
        if not is_repeated and len(decoders) != len(items):
            raise InputError(f"{_format_path(path)}: expected {len(decoders)} items, found {len(items)}")
        item_decoders = decoders * len(items) if is_repeated else decoders
        return tuple(
            decoder(item, (path, i)) for i, (decoder, item) in enumerate(zip(item_decoders, items, strict=True))
        )

    return decode_tuple


def _mapping_decoder(arguments: tuple[typing.Any, ...]) -> _Decoder:
    decoder = _decoder(arguments[1])

    def decode_mapping(value: typing.Any, path: _Path) -> object:
        items = _expect(Mapping, value, path)
        return {str(key): decoder(item, (path, str(key))) for key, item in items.items()}

    return decode_mapping


class _DataclassDecoder:
    """Decodes values of one data class; its fields are inspected at the first value, as they may have this type too."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._fields: tuple[tuple[str, _Decoder, bool], ...] = ()
        self._names: frozenset[str] | None = None

    def __call__(self, value: typing.Any, path: _Path) -> object:
        names = self._names or self._inspect()
        items = value if type(value) is dict else _expect(Mapping, value, path)
        if not names.issuperset(items):
            raise InputError(
                f"{_format_path(path, self._kind.__name__)}: unknown field {min(set(items) - names)!r}; the fields are "
                f"{', '.join(name for name, _, _ in self._fields)}"
            )
        field_values = {}
        for name, decoder, is_required in self._fields:
            if name in items:
                field_values[name] = decoder(items[name], (path, name))
            elif is_required:
                raise InputError(
                    f"{_format_path((path, name))}: the field is missing; {self._kind.__name__} requires it"
                )
        return self._kind(**field_values)

    def _inspect(self) -> frozenset[str]:
        hints = typing.get_type_hints(self._kind)
        self._fields = tuple(
            (
                field.name,
                _decoder(hints[field.name]),
                field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(self._kind)
            if field.init
        )
        self._names = frozenset(name for name, _, _ in self._fields)
        return self._names


def _plain_decoder(kind: typing.Any) -> _Decoder:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value, path: _decode_enum(kind, value, path)
    if kind is Decimal:
        return _decode_decimal
    if kind is float:
        return _decode_float
    if kind is int:
        return _decode_integer
    return lambda value, path: value if type(value) is kind else _expect(kind, value, path)


def _decode_enum(kind: type[Enum], value: typing.Any, path: _Path) -> object:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise InputError(f"{_format_path(path)}: expected one of {allowed}, found {value!r}") from None


def _decode_decimal(value: typing.Any, path: _Path) -> object:
    try:
        number = Decimal(_expect(str, value, path))
    except InvalidOperation:
        raise InputError(f"{_format_path(path)}: expected a decimal in quotes, found {value!r}") from None
    if not number.is_finite():
        raise InputError(f"{_format_path(path)}: expected a finite decimal in quotes, found {value!r}")
    return number


def _decode_float(value: typing.Any, path: _Path) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(float, value, path)


def _decode_integer(value: typing.Any, path: _Path) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf's Struct returns every JSON number as a float
    return _expect(int, value, path)


def _expect(kind: typing.Any, value: typing.Any, path: _Path) -> typing.Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
        type_name = _TYPE_NAMES.get(kind) or getattr(kind, "__name__", str(kind))
        raise InputError(f"{_format_path(path)}: expected {type_name}, found {value!r:.80}")
    return value
