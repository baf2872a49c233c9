"""The method of a model and its options, checked against the generated ``methods.json``.

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

from anamnesis.operator.api.api_model import ApiModel, method_field_name
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import MethodName
from anamnesis.operator.api.value_types import decimal_schema, parse_decimal

OptionSchema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method, as the operator knows it.

    Attributes:
        method: the registered name, for example ``ewc_prototype``.
        name: the name in resources, for example ``EWCPrototype``.
        summary: one sentence.
        earlier_data: whether the method reads the training data of earlier sites.
        stores_exemplars: whether versions hold real images.
        options: option in snake case -> its JSON Schema: ``description``, ``type``, ``enum``, ``default``.
    """

    method: str
    name: str
    summary: str
    earlier_data: bool
    stores_exemplars: bool
    options: Mapping[str, OptionSchema]


@cache
def supported_methods() -> Mapping[str, MethodEntry]:
    """Returns the methods of ``methods.json``, by their name in resources."""
    entries = json.loads(Path(__file__).with_name("methods.json").read_text(encoding="utf-8"))
    return {entry["name"]: MethodEntry(**entry) for entry in entries}


class MethodSpec(ApiModel):
    """The method, and its options in the field of the same name: ``{name: EWCPrototype, ewcPrototype: {...}}``."""

    model_config = ConfigDict(extra="allow")
    name: MethodName
    """Name of the method."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds one field per method, which pydantic does not know."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"]["name"] |= {"enum": list(supported_methods())}
        for entry in supported_methods().values():
            schema["properties"][method_field_name(entry.name)] = _options_schema(entry)
        return schema | cel_rules(*(_options_rule(entry) for entry in supported_methods().values()))

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        self.options()
        return self

    @property
    def entry(self) -> MethodEntry:
        """The method's entry in ``methods.json``.

        Raises:
            ValueError: no method has this name.
        """
        if self.name not in supported_methods():
            raise ValueError(f"name: expected one of {', '.join(supported_methods())}, found {self.name!r}")
        return supported_methods()[self.name]

    def options(self) -> dict[str, object]:
        """Returns the options in snake case and with the types that the method's configuration class has.

        Raises:
            ValueError: a field is unknown, or its value has another type; the message names the field.
        """
        entry, extra_fields, options_field = self.entry, dict(self.model_extra or {}), method_field_name(self.name)
        option_values = extra_fields.pop(options_field, {})
        if extra_fields:
            raise ValueError(f"{sorted(extra_fields)[0]}: unknown field; valid fields are name, {options_field}")
        if not isinstance(option_values, Mapping):
            raise ValueError(f"{options_field}: expected fields, found {option_values!r}; write name: value below it")
        option_by_field = {to_camel(option): option for option in entry.options}
        options = {}
        for field, value in option_values.items():
            if field not in option_by_field:
                valid_fields = ", ".join(option_by_field) or "none"
                raise ValueError(f"{options_field}.{field}: unknown field; valid fields are {valid_fields}")
            option = option_by_field[field]
            options[option] = _convert_option(entry.options[option], value, f"{options_field}.{field}")
        return options


def _options_schema(entry: MethodEntry) -> JsonSchemaValue:
    properties = {to_camel(option): _option_schema(schema) for option, schema in entry.options.items()}
    text = f"Options of {entry.name}: {entry.summary}"
    if entry.earlier_data:
        text += " It reads the training images of earlier sites: an upper bound, for research."
    if entry.stores_exemplars:
        text += " Every version holds real images of patients: it needs changePlan.storedImages: Allowed."
    return {"type": "object", "description": text, "properties": properties}


def _option_schema(schema: OptionSchema) -> JsonSchemaValue:
    """Describes the default without setting it: the method itself applies the default of an omitted option."""
    text, default, constraints = str(schema["description"]), schema["default"], {"type": schema["type"]}
    match schema:
        case {"enum": [*names]}:
            constraints["enum"] = [to_pascal(str(name)) for name in names]
            default = to_pascal(str(default))
            for name in names:
                text = text.replace(f"``{name}``", to_pascal(str(name)))
        case {"type": "number", "default": float(number)}:
            constraints, default = decimal_schema(), f"{number:g}"
        case {"type": "string"}:
            constraints["maxLength"], default = 1024, default or "none"
    return {"description": f"{text[:1].upper()}{text[1:]} Default: {default}."} | constraints


def _options_rule(entry: MethodEntry) -> tuple[str, str]:
    field = method_field_name(entry.name)
    message = f"{field} needs name: {entry.name}; remove the options of other methods"
    return f"!has(self.{field}) || self.name == '{entry.name}'", message


def _convert_option(schema: OptionSchema, value: object, field_path: str) -> object:
    choices = schema.get("enum")
    if isinstance(choices, list):
        choice_by_name = {to_pascal(str(choice)): choice for choice in choices}
        if not isinstance(value, str) or value not in choice_by_name:
            raise ValueError(f"{field_path}: expected one of {', '.join(choice_by_name)}, found {value!r}")
        return choice_by_name[value]
    json_type = schema["type"]
    if json_type == "number":
        return _parse_number(value, field_path)
    expected_type = {"integer": int, "boolean": bool, "string": str}[str(json_type)]
    if not isinstance(value, expected_type) or isinstance(value, bool) != (expected_type is bool):
        raise ValueError(f"{field_path}: expected {json_type}, found {value!r}")
    return value


def _parse_number(value: object, field_path: str) -> float:
    try:
        return float(parse_decimal(value))
    except ValueError as error:
        raise ValueError(f"{field_path}: {error}") from None
