"""Options of a method that need another option: checked here, and by CEL rules on the API server."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic.alias_generators import to_camel, to_pascal

from anamnesis.operator.api.cel import cel_rules
from anamnesis.records.option_rules import OptionRule, flatten_options

OptionSchema = Mapping[str, object]


def group_options(schema: OptionSchema) -> Mapping[str, OptionSchema]:
    """Returns the options of a group; none for a single option."""
    return cast(Mapping[str, OptionSchema], schema.get("properties", {}))


def check_option_rules(
    rules: Sequence[OptionRule], schemas: Mapping[str, OptionSchema], options: Mapping[str, object], path: str
) -> None:
    """Checks that each option that is set has an effect and fits to the others.

    Args:
        rules: of the method.
        schemas: of all its options.
        options: those that the resource sets.
        path: of the options in the resource, for the error.

    Raises:
        ValueError: the message has the path of the option.
    """
    set_options = flatten_options(options)
    resolved = {name: schema.get("default") for name, schema in _flatten_schemas(schemas).items()} | set_options
    for rule in rules:
        if rule.is_broken(set_options, resolved):
            raise ValueError(f"{path}.{_field_path(rule.option)}: {rule.message}")


def option_rules_schema(rules: Sequence[OptionRule], schemas: Mapping[str, OptionSchema]) -> dict[str, Any]:
    """Returns the same rules as a part of the JSON Schema of the options."""
    flat_schemas = _flatten_schemas(schemas)
    pairs = [(_rule_in_cel(rule, flat_schemas), f"{_field_path(rule.option)}: {rule.message}") for rule in rules]
    return cel_rules(*pairs) if pairs else {}


def _flatten_schemas(schemas: Mapping[str, OptionSchema], prefix: str = "") -> dict[str, OptionSchema]:
    flat: dict[str, OptionSchema] = {}
    for name, schema in schemas.items():
        flat[prefix + name] = schema
        flat |= _flatten_schemas(group_options(schema), f"{prefix}{name}.")
    return flat


def _field_path(option: str) -> str:
    return ".".join(to_camel(part) for part in option.split("."))


def _rule_in_cel(rule: OptionRule, schemas: Mapping[str, OptionSchema]) -> str:
    applies = _has_value(rule.option, rule.values, schemas) if rule.values else _is_set(rule.option)
    needed = []
    if rule.needed_values:
        needed.append(_has_value(rule.needed_option, rule.needed_values, schemas))
    if rule.forbidden_values:
        needed.append(f"!({_has_value(rule.needed_option, rule.forbidden_values, schemas)})")
    return f"!({applies}) || ({' && '.join(needed)})"


def _is_set(option: str) -> str:
    parts = _field_path(option).split(".")
    return " && ".join(f"has(self.{'.'.join(parts[: length + 1])})" for length in range(len(parts)))


def _has_value(option: str, values: Sequence[object], schemas: Mapping[str, OptionSchema]) -> str:
    """Returns the expression that an option, or its default where it is not set, is one of the values."""
    schema, reference = schemas[option], f"self.{_field_path(option)}"
    if "enum" in schema:
        comparisons = [f"{reference} == '{to_pascal(str(value))}'" for value in values]
    elif schema["type"] == "number":
        comparisons = [f"double({reference}) == {float(str(value))}" for value in values]
    else:
        comparisons = [f"{reference} == '{value}'" for value in values]
    is_value = f"({_is_set(option)}) && ({' || '.join(comparisons)})"
    return f"({is_value}) || !({_is_set(option)})" if schema.get("default") in values else is_value
