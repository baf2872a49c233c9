"""Which method a model learns with, and its options: checked against ``methods.json``, which is generated.

The operator's image has no torch and cannot ask the methods themselves. ``methods.json`` is written from their
configuration classes by ``python -m anamnesis.cli.generate``; a test fails when it is stale.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel, to_pascal
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.api_model import Model, field_name
from anamnesis.operator.api.cel import rules
from anamnesis.operator.api.string_types import MethodName
from anamnesis.operator.api.value_types import decimal, decimal_schema

Property = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """What the operator knows of a method.

    Attributes:
        method: the registered name, for example ``ewc_prototype``.
        name: the name in resources, for example ``EWCPrototype``.
        summary: one sentence.
        earlier_data: opens the training data of earlier sites.
        stores_exemplars: keeps real images.
        options: option in snake case -> its JSON Schema: ``description``, ``type``, ``enum``, ``default``.
    """

    method: str
    name: str
    summary: str
    earlier_data: bool
    stores_exemplars: bool
    options: Mapping[str, Property]


@cache
def known_methods() -> Mapping[str, MethodEntry]:
    """Returns every method by its name in resources, as ``methods.json`` has them."""
    entries = json.loads(Path(__file__).with_name("methods.json").read_text(encoding="utf-8"))
    return {entry["name"]: MethodEntry(**entry) for entry in entries}


class MethodSpec(Model):
    """A method and, in the field of its name, its options: ``{name: EWCPrototype, ewcPrototype: {...}}``."""

    model_config = ConfigDict(extra="allow")
    name: MethodName
    """Which method."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds a field per method: pydantic sees only that further fields are allowed."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"]["name"] |= {"enum": list(known_methods())}
        for entry in known_methods().values():
            schema["properties"][field_name(entry.name)] = _options_schema(entry)
        return schema | rules(*(_only_with(entry) for entry in known_methods().values()))

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        self.options()
        return self

    @property
    def entry(self) -> MethodEntry:
        """What is known of the method.

        Raises:
            ValueError: there is no such method.
        """
        if self.name not in known_methods():
            raise ValueError(f"name: {self.name!r} is not one of {', '.join(known_methods())}")
        return known_methods()[self.name]

    def options(self) -> dict[str, object]:
        """Returns the options in snake case and with the types that the method's configuration class has.

        Raises:
            ValueError: an unknown field, or a value that does not fit; the message names it.
        """
        entry, extra, holder = self.entry, dict(self.model_extra or {}), field_name(self.name)
        given = extra.pop(holder, {})
        if extra:
            raise ValueError(f"{sorted(extra)[0]}: unknown field; known here are name, {holder}")
        if not isinstance(given, Mapping):
            raise ValueError(f"{holder}: expected fields, found {given!r}")
        by_field = {to_camel(option): option for option in entry.options}
        options = {}
        for field, value in given.items():
            if field not in by_field:
                known = ", ".join(by_field) or "none"
                raise ValueError(f"{holder}.{field}: unknown field; known here are {known}")
            option = by_field[field]
            options[option] = _typed(entry.options[option], value, f"{holder}.{field}")
        return options


def _options_schema(entry: MethodEntry) -> JsonSchemaValue:
    properties = {to_camel(option): _option_schema(schema) for option, schema in entry.options.items()}
    text = f"Options of {entry.name}: {entry.summary}"
    if entry.earlier_data:
        text += " It opens the training images of earlier sites: an upper bound, for research."
    if entry.stores_exemplars:
        text += " It keeps real images of patients in every version: only with changePlan.storedImages: Allowed."
    return {"type": "object", "description": text, "properties": properties}


def _option_schema(schema: Property) -> JsonSchemaValue:
    """Says the default and does not set it: an option left out stays the method's own affair."""
    text, default, more = str(schema["description"]), schema["default"], {"type": schema["type"]}
    match schema:
        case {"enum": [*names]}:
            more["enum"] = [to_pascal(str(name)) for name in names]
            default = to_pascal(str(default))
            for name in names:
                text = text.replace(f"``{name}``", to_pascal(str(name)))
        case {"type": "number", "default": float(number)}:
            more, default = decimal_schema(), f"{number:g}"
        case {"type": "string"}:
            more["maxLength"], default = 1024, default or "none"
    return {"description": f"{text[:1].upper()}{text[1:]} Default: {default}."} | more


def _only_with(entry: MethodEntry) -> tuple[str, str]:
    field = field_name(entry.name)
    message = f"{field} goes with name: {entry.name}, and only with it"
    return f"!has(self.{field}) || self.name == '{entry.name}'", message


def _typed(schema: Property, value: object, where: str) -> object:
    allowed = schema.get("enum")
    if isinstance(allowed, list):
        named = {to_pascal(str(candidate)): candidate for candidate in allowed}
        if not isinstance(value, str) or value not in named:
            raise ValueError(f"{where}: {value!r} is not one of {', '.join(named)}")
        return named[value]
    kind = schema["type"]
    if kind == "number":
        return _number(value, where)
    wanted = {"integer": int, "boolean": bool, "string": str}[str(kind)]
    if not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool):
        raise ValueError(f"{where}: expected {kind}, found {value!r}")
    return value


def _number(value: object, where: str) -> float:
    try:
        return float(decimal(value))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
