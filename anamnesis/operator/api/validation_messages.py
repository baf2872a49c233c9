"""Validation errors in the words of a person who writes YAML."""

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from anamnesis.operator.api.record_fields import record_model
from anamnesis.operator.api.string_types import PATTERN_DESCRIPTIONS


def describe_errors(error: ValidationError, model_type: type[BaseModel]) -> Iterator[str]:
    """Yields one line per error: path of the field, expected value, found value."""
    findings = error.errors(include_url=False)
    for finding in findings:
        location = finding["loc"]
        if any(
            len(nested_finding["loc"]) > len(location) and nested_finding["loc"][: len(location)] == location
            for nested_finding in findings
        ):
            continue  # the error of the field inside is reported
        path = _format_path(location)
        yield f"{path}: {_message_for(finding, model_type)}" if path else _message_for(finding, model_type)


def _format_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def _message_for(finding: Any, model_type: type[BaseModel]) -> str:
    value, context = finding["input"], finding.get("ctx", {})
    match finding["type"]:
        case "missing":
            return f"missing; add it. {_field_description(model_type, finding['loc'])}".rstrip(" .")
        case "extra_forbidden":
            return f"unknown field; valid fields are {', '.join(_fields_at(model_type, finding['loc'][:-1]))}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"expected one of {context['expected'].replace(' or ', ', ')}, found {value!r}".replace("'", "")
        case "string_type":
            return f"expected text, found {value!r}{'' if isinstance(value, list | dict) else '; put it in quotes'}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"expected fields, found {value!r}; write name: value below it"
        case "string_pattern_mismatch":
            return f"expected {PATTERN_DESCRIPTIONS[context['pattern']]}, found {value!r}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            relation = {"greater_than_equal": "at least", "greater_than": "more than", "less_than_equal": "at most"}
            limit = next(iter(context.values()))
            return f"expected {relation.get(finding['type'], 'less than')} {limit}, found {value}"
        case _:
            text = finding["msg"].replace("Tuple", "list").replace(" after validation", "")
            return f"{text[0].lower()}{text[1:]}, found {value!r:.80}"


def _field_description(model_type: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Returns the first paragraph of the description of the field at ``location``."""
    return (_fields_at(model_type, location[:-1])[str(location[-1])].description or "").partition("\n\n")[0]


def _fields_at(model_type: type[BaseModel], location: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """Returns the fields of the part of ``model_type`` at ``location``, by their names in YAML."""
    current_type: Any = model_type
    for part in location:
        if isinstance(part, str):
            field = _fields_by_alias(current_type).get(part)  # none for the key of a map
            current_type = _find_model(field.annotation) if field else current_type
    return _fields_by_alias(current_type)


def _fields_by_alias(model_type: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model_type.model_fields.items()}


def _find_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return record_model(annotation)
    return next(filter(None, (_find_model(argument) for argument in get_args(annotation))), None)
