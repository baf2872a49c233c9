"""The method of a model and its options, checked against the generated ``methods.json``.

The operator's image has no torch and cannot import the methods. ``python -m anamnesis.cli.generate`` writes
``methods.json`` from their configuration classes; a test fails when it is stale.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel, to_pascal
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from anamnesis.operator.api.api_model import ApiModel, method_field_name
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.option_rules import (
    OptionSchema,
    check_option_rules,
    group_options,
    option_rules_schema,
)
from anamnesis.operator.api.string_types import MethodName
from anamnesis.operator.api.value_types import decimal_schema, parse_decimal
from anamnesis.records import decode
from anamnesis.records.option_rules import BOUNDS, Bounds, OptionRule

MAXIMUM_TEXT = 1024
"""Characters of an option that is a text."""


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method, as the operator knows it.

    Attributes:
        method: the registered name, for example ``ewc_prototype``.
        name: the name in resources, for example ``EWCPrototype``.
        summary: one sentence.
        earlier_data: whether the method reads the training data of earlier sites.
        task_types: types of tasks that it learns.
        stores_exemplars: whether versions hold real images.
        options: option in snake case -> its JSON Schema: ``description``, ``type``, ``enum``, ``default``; a group of
            options has ``type: object`` and ``properties``, which is such a mapping again.
        rules: options that need another option.
    """

    method: str
    name: str
    summary: str
    earlier_data: bool
    task_types: tuple[str, ...]
    stores_exemplars: bool
    options: Mapping[str, OptionSchema]
    rules: tuple[OptionRule, ...] = ()


@cache
def supported_methods() -> Mapping[str, MethodEntry]:
    """Returns the methods of ``methods.json``, by their name in resources."""
    entries = json.loads(Path(__file__).with_name("methods.json").read_text(encoding="utf-8"))
    return {entry["name"]: decode(MethodEntry, entry, "methods.json") for entry in entries}


class KnownMethod:
    """Annotation of a text that must be the name of a method."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Adds the check after that of the text."""
        return core_schema.no_info_after_validator_function(_check_method_name, handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds the names."""
        return handler(core) | {"enum": list(supported_methods())}


def _check_method_name(name: str) -> str:
    if name not in supported_methods():
        raise ValueError(f"expected one of {', '.join(supported_methods())}, found {name!r}")
    return name


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
        """Returns the options in snake case, in groups and with types as in the method's configuration class.

        Raises:
            ValueError: an unknown field, or a value that does not fit; the message has its full path.
        """
        entry, extra_fields, options_field = self.entry, dict(self.model_extra or {}), method_field_name(self.name)
        option_values = extra_fields.pop(options_field, {})
        if extra_fields:
            raise ValueError(f"{sorted(extra_fields)[0]}: unknown field; valid fields are name, {options_field}")
        options = _convert_options(entry.options, option_values, options_field)
        check_option_rules(entry.rules, entry.options, options, options_field)
        return options


def _options_schema(entry: MethodEntry) -> JsonSchemaValue:
    text = f"Options of {entry.name}: {entry.summary}"
    if entry.earlier_data:
        text += " It reads the training images of earlier sites: an upper bound, for research."
    if entry.stores_exemplars:
        text += " Every version holds real images of patients: it needs changePlan.storedImages: Allowed."
    schema = {"type": "object", "description": text, "properties": _properties_schema(entry.options)}
    return schema | option_rules_schema(entry.rules, entry.options)


def _properties_schema(options: Mapping[str, OptionSchema]) -> JsonSchemaValue:
    return {to_camel(option): _option_schema(schema) for option, schema in options.items()}


def _option_schema(schema: OptionSchema) -> JsonSchemaValue:
    """Describes the default without setting it: the method itself applies the default of an omitted option."""
    text, constraints = str(schema["description"]), {"type": schema["type"]}
    if "properties" in schema:
        description = f"{text[:1].upper()}{text[1:]}"
        return {"description": description, "type": "object", "properties": _properties_schema(group_options(schema))}
    default = schema["default"]
    match schema:
        case {"enum": [*names]}:
            constraints["enum"] = [to_pascal(str(name)) for name in names]
            default = to_pascal(str(default))
            for name in names:
                text = text.replace(f"``{name}``", to_pascal(str(name)))
        case {"type": "number", "default": float(number)}:
            constraints, default = decimal_schema(*_bounds_rules(schema)), f"{number:g}"
        case {"type": "integer", "bounds": {"minimum": minimum, "maximum": maximum}}:
            constraints |= {"minimum": minimum, "maximum": maximum}
        case {"type": "string"}:
            constraints["maxLength"], default = MAXIMUM_TEXT, default or "none"
    return {"description": f"{text[:1].upper()}{text[1:]} Default: {default}."} | constraints


def _bounds_of(schema: OptionSchema) -> Bounds | None:
    return decode(Bounds, schema[BOUNDS], "methods.json") if BOUNDS in schema else None


def _bounds_rules(schema: OptionSchema) -> tuple[tuple[str, str], ...]:
    bounds = _bounds_of(schema)
    if bounds is None:
        return ()
    sign = ">" if bounds.excludes_minimum else ">="
    rule = f"double(self) {sign} {float(bounds.minimum)} && double(self) <= {float(bounds.maximum):.1f}"
    return ((rule, f"expected {bounds.describe()}"),)


def _options_rule(entry: MethodEntry) -> tuple[str, str]:
    field = method_field_name(entry.name)
    message = f"{field} needs name: {entry.name}; remove the options of other methods"
    return f"!has(self.{field}) || self.name == '{entry.name}'", message


def _convert_options(options: Mapping[str, OptionSchema], values: object, path: str) -> dict[str, object]:
    option_by_field = {to_camel(option): option for option in options}
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected fields, found {values!r}; its fields are {', '.join(option_by_field)}")
    converted_options = {}
    for field, value in values.items():
        if not option_by_field:
            raise ValueError(f"{path}.{field}: unknown field; {path} has no options; remove the field")
        if field not in option_by_field:
            valid_fields = ", ".join(option_by_field)
            raise ValueError(
                f"{path}.{field}: unknown field; {_group_hint(options, field)}valid fields are {valid_fields}"
            )
        option = option_by_field[field]
        converted_options[option] = _convert_option(options[option], value, f"{path}.{field}")
    return converted_options


def _group_hint(options: Mapping[str, OptionSchema], field: str) -> str:
    """Names the group that has a field of this name."""
    for group, schema in options.items():
        if field in map(to_camel, group_options(schema)):
            return f"write {to_camel(group)}: {{{field}: ...}}; "
    return ""


def _convert_option(schema: OptionSchema, value: object, field_path: str) -> object:
    if "properties" in schema:
        return _convert_options(group_options(schema), value, field_path)
    choices = schema.get("enum")
    if isinstance(choices, list):
        choice_by_name = {to_pascal(str(choice)): choice for choice in choices}
        if not isinstance(value, str) or value not in choice_by_name:
            raise ValueError(f"{field_path}: expected one of {', '.join(choice_by_name)}, found {value!r}")
        return choice_by_name[value]
    json_type = schema["type"]
    if json_type == "number":
        return _check_number(schema, _parse_number(value, field_path), field_path)
    expected_type = {"integer": int, "boolean": bool, "string": str}[str(json_type)]
    if not isinstance(value, expected_type) or isinstance(value, bool) != (expected_type is bool):
        raise ValueError(f"{field_path}: expected {json_type}, found {value!r}")
    if isinstance(value, str) and len(value) > MAXIMUM_TEXT:
        raise ValueError(f"{field_path}: expected at most {MAXIMUM_TEXT} characters, found {len(value)}")
    return _check_number(schema, value, field_path) if isinstance(value, int) and json_type == "integer" else value


def _check_number(schema: OptionSchema, value: float, field_path: str) -> float:
    bounds = _bounds_of(schema)
    if bounds is not None and not bounds.allows(value):
        raise ValueError(f"{field_path}: expected {bounds.describe()}, found {value:g}")
    return value


def _parse_number(value: object, field_path: str) -> float:
    try:
        return float(parse_decimal(value))
    except ValueError as error:
        raise ValueError(f"{field_path}: {error}") from None
