"""Options as fields of a resource: their JSON Schema, and their values.

Names are in camelCase, words of enumerations in PascalCase, numbers with a fraction are decimals in quotes.
"""

from collections.abc import Mapping

from pydantic.alias_generators import to_camel, to_pascal
from pydantic.json_schema import JsonSchemaValue

from anamnesis.operator.api.option_rules import OptionSchema, group_options
from anamnesis.operator.api.value_types import decimal_schema, parse_decimal
from anamnesis.records import decode
from anamnesis.records.option_rules import BOUNDS, Bounds

MAXIMUM_TEXT = 1024
"""Characters of an option that is a text."""


def properties_schema(options: Mapping[str, OptionSchema]) -> JsonSchemaValue:
    """Returns field -> JSON Schema of options, as a resource has them."""
    return {to_camel(option): _option_schema(schema) for option, schema in options.items()}


def _option_schema(schema: OptionSchema) -> JsonSchemaValue:
    """Describes the default without setting it: the method itself applies the default of an omitted option."""
    text, constraints = str(schema["description"]), {"type": schema["type"]}
    if "properties" in schema:
        description = f"{text[:1].upper()}{text[1:]}"
        return {"description": description, "type": "object", "properties": properties_schema(group_options(schema))}
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
    return decode(Bounds, schema[BOUNDS], "bounds of an option") if BOUNDS in schema else None


def _bounds_rules(schema: OptionSchema) -> tuple[tuple[str, str], ...]:
    bounds = _bounds_of(schema)
    if bounds is None:
        return ()
    sign = ">" if bounds.excludes_minimum else ">="
    rule = f"double(self) {sign} {float(bounds.minimum)} && double(self) <= {float(bounds.maximum):.1f}"
    return ((rule, f"expected {bounds.describe()}"),)


def convert_options(options: Mapping[str, OptionSchema], values: object, path: str) -> dict[str, object]:
    """Returns the options of a resource in snake case, with the types of their data class.

    Args:
        options: the schema of each option.
        values: the fields of the resource.
        path: of the fields, for errors.

    Raises:
        ValueError: an unknown field, or a value that does not fit; the message has its path.
    """
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


def option_fields(options: Mapping[str, OptionSchema], values: Mapping[str, object]) -> dict[str, object]:
    """Returns the fields of a resource for options without groups; those with their defaults are left out.

    Args:
        options: the schema of each option.
        values: by the names of ``options``, as JSON.
    """
    return {
        to_camel(option): _field_value(options[option], value)
        for option, value in values.items()
        if value != options[option]["default"]
    }


def _field_value(schema: OptionSchema, value: object) -> object:
    if "enum" in schema:
        return to_pascal(str(value))
    return f"{value:g}" if isinstance(value, float) else value


def _group_hint(options: Mapping[str, OptionSchema], field: str) -> str:
    """Names the group that has a field of this name."""
    for group, schema in options.items():
        if field in map(to_camel, group_options(schema)):
            return f"write {to_camel(group)}: {{{field}: ...}}; "
    return ""


def _convert_option(schema: OptionSchema, value: object, field_path: str) -> object:
    if "properties" in schema:
        return convert_options(group_options(schema), value, field_path)
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
