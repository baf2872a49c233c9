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
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from anamnesis.operator.api.api_model import ApiModel, method_field_name
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.option_fields import convert_options, properties_schema
from anamnesis.operator.api.option_rules import OptionSchema, check_option_rules, option_rules_schema
from anamnesis.operator.api.string_types import MethodName
from anamnesis.records import decode
from anamnesis.records.option_rules import OptionRule


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method, as the operator knows it.

    Attributes:
        method: the registered name, for example ``ewc_prototype``.
        name: the name in resources, for example ``EWCPrototype``.
        summary: one sentence.
        earlier_data: whether the method reads the training data of earlier sites.
        task_types: types of tasks that it learns.
        several_modalities: whether it reads all modalities of a Site; else the first.
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
    several_modalities: bool
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
        options = convert_options(entry.options, option_values, options_field)
        check_option_rules(entry.rules, entry.options, options, options_field)
        return options


def _options_schema(entry: MethodEntry) -> JsonSchemaValue:
    text = f"Options of {entry.name}: {entry.summary}"
    if entry.earlier_data:
        text += " It reads the training images of earlier sites: an upper bound, for research."
    if entry.stores_exemplars:
        text += " Every version holds real images of patients: it needs changePlan.storedImages: Allowed."
    schema = {"type": "object", "description": text, "properties": properties_schema(entry.options)}
    return schema | option_rules_schema(entry.rules, entry.options)


def _options_rule(entry: MethodEntry) -> tuple[str, str]:
    field = method_field_name(entry.name)
    message = f"{field} needs name: {entry.name}; remove the options of other methods"
    return f"!has(self.{field}) || self.name == '{entry.name}'", message
