"""Turns pydantic types into the structural schemas that a CustomResourceDefinition needs."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from anamnesis.operator.api.cel import RULES_KEYWORD
from anamnesis.operator.api.string_types import PATTERN_DESCRIPTIONS

Schema = dict[str, Any]
_ALLOWED_KEYWORDS = (
    *("type", "format", "description", "enum", "default", "required", "items", "properties", "pattern"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
    *(RULES_KEYWORD, "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
)


def structural_schema(model_type: type[BaseModel]) -> Schema:
    """Returns the schema of ``model_type``, without references and without keywords that Kubernetes refuses."""
    schema = model_type.model_json_schema()
    definitions = schema.pop("$defs", {})
    return _to_structural(schema, definitions)


def without_defaults(schema: Schema) -> Schema:
    """Returns the schema without defaults: a status holds only the fields that its writer set."""
    plain_keywords = {key: value for key, value in schema.items() if key not in ("default", "items")}
    members = _transform_members(schema, without_defaults) if schema["type"] == "object" else {}
    return plain_keywords | members | _transform_items(schema, without_defaults)


def _to_structural(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    flat_schema = _resolve_references(node, definitions)
    schema = {key: flat_schema[key] for key in _ALLOWED_KEYWORDS if key in flat_schema}
    if "description" in schema:
        schema["description"] = _strip_markup(schema["description"]) + _default_sentence(schema.get("default"))
    if schema["type"] == "integer":
        schema["format"] = "int64"
    if schema["type"] == "object":
        schema |= _transform_members(flat_schema, lambda part: _to_structural(part, definitions))
        if not schema.get("properties", True):
            del schema["properties"]  # the API server drops it, and each later apply of the definition would conflict
    if "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
    for exclusive_keyword, inclusive_keyword in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive_keyword in flat_schema:
            schema |= {inclusive_keyword: flat_schema[exclusive_keyword], exclusive_keyword: True}
    _replace_pattern_by_rule(schema)
    return schema | _transform_items(schema, lambda item: _to_structural(item, definitions))


def _without_nulls(value: Any) -> Any:
    """Drops null fields: the API server knows only present and absent fields."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return value


def _default_sentence(default: object) -> str:
    """Returns the default as a sentence, because ``kubectl explain`` shows no defaults."""
    return f" Default: {default}." if isinstance(default, str | int) and default != "" else ""


def _transform_members(schema: Schema, transform: Any) -> Schema:
    """Returns the schemas of an object's fields, or of a map's values."""
    if isinstance(schema.get("additionalProperties"), Mapping):
        return {"additionalProperties": transform(schema["additionalProperties"])}
    return {"properties": {name: transform(part) for name, part in schema.get("properties", {}).items()}}


def _transform_items(schema: Schema, transform: Any) -> Schema:
    return {"items": transform(schema["items"])} if "items" in schema else {}


def _resolve_references(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """Replaces a reference by its schema; keywords next to the reference win. ``T | None`` is an optional T."""
    own_keywords = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "const")}
    if own_keywords.get("default", "") is None:
        del own_keywords["default"]
    if "const" in node:
        own_keywords["enum"] = [node["const"]]
    if "$ref" in node:
        return _resolve_references(definitions[node["$ref"].rpartition("/")[2]], definitions) | own_keywords
    if "anyOf" in node:
        (member_schema,) = (member_schema for member_schema in node["anyOf"] if member_schema.get("type") != "null")
        return _resolve_references(member_schema, definitions) | own_keywords
    return own_keywords


def _replace_pattern_by_rule(schema: Schema) -> None:
    """Replaces a pattern by a CEL rule with a message, because a regular expression explains nothing to a person.

    Further rules apply only to values that match the pattern.
    """
    pattern = schema.pop("pattern", None)
    if pattern is not None:
        pattern_rule = f"self.matches({_cel_string(pattern)})"
        guarded_rules = [
            rule | {"rule": f"!{pattern_rule} || ({rule['rule']})"} for rule in schema.get(RULES_KEYWORD, [])
        ]
        schema[RULES_KEYWORD] = [
            {"rule": pattern_rule, "message": f"expected {PATTERN_DESCRIPTIONS[pattern]}"},
            *guarded_rules,
        ]


def _cel_string(text: str) -> str:
    """Returns ``text`` as a CEL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _strip_markup(docstring: str) -> str:
    """Returns a docstring without markup and without line breaks inside a paragraph, for ``kubectl explain``."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring).replace("``", ""))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
