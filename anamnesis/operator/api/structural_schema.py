"""Turns the pydantic types into structural schemas, as the API server wants them in a CustomResourceDefinition."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from anamnesis.operator.api.cel import RULES
from anamnesis.operator.api.string_types import PATTERNS

Schema = dict[str, Any]
_KEPT = (
    *("type", "format", "description", "enum", "default", "required", "items", "properties", "pattern"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
    *(RULES, "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
)


def structural(kind: type[BaseModel]) -> Schema:
    """Returns the schema of ``kind``: nothing referenced, nothing unknown, a description wherever there is one."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    return _structural(schema, definitions)


def without_defaults(schema: Schema) -> Schema:
    """Returns the schema without defaults: a status says what its writer said, and nothing else."""
    parts = {name: without_defaults(part) for name, part in schema.get("properties", {}).items()}
    plain = {key: value for key, value in schema.items() if key not in ("default", "properties", "items")}
    return plain | ({"properties": parts} if parts else {}) | _items(schema, without_defaults)


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    flat = _flat(node, definitions)
    schema = {key: flat[key] for key in _KEPT if key in flat}
    if "description" in schema:
        schema["description"] = _plain(schema["description"]) + _default_in_words(schema.get("default"))
    if schema["type"] == "integer":
        schema["format"] = "int64"
    if schema["type"] == "object":
        parts = schema.get("properties", {})
        schema["properties"] = {name: _structural(part, definitions) for name, part in parts.items()}
    if "default" in schema:
        schema["default"] = _given(schema["default"])
    for bound, side in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in flat:
            schema |= {side: flat[bound], bound: True}
    _say_pattern_in_words(schema)
    return schema | _items(schema, lambda item: _structural(item, definitions))


def _given(value: Any) -> Any:
    """Leaves out what is null: to the API server a field is there or not."""
    if isinstance(value, Mapping):
        return {key: _given(part) for key, part in value.items() if part is not None}
    return value


def _default_in_words(default: object) -> str:
    """``kubectl explain`` does not show defaults."""
    return f" Default: {default}." if isinstance(default, str | int) and default != "" else ""


def _items(schema: Schema, change: Any) -> Schema:
    return {"items": change(schema["items"])} if "items" in schema else {}


def _flat(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """Puts what is referenced in place; what stands beside a reference wins. ``T | None`` is an optional T."""
    here = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "const")}
    if here.get("default", "") is None:
        del here["default"]
    if "const" in node:
        here["enum"] = [node["const"]]
    if "$ref" in node:
        return _flat(definitions[node["$ref"].rpartition("/")[2]], definitions) | here
    if "anyOf" in node:
        (part,) = (part for part in node["anyOf"] if part.get("type") != "null")
        return _flat(part, definitions) | here
    return here


def _say_pattern_in_words(schema: Schema) -> None:
    """Replaces a pattern by a rule with a message: a regular expression tells nobody what to write.

    Further rules are asked of what fits the pattern only.
    """
    pattern = schema.pop("pattern", None)
    if pattern is not None:
        fits = f"self.matches({_quoted(pattern)})"
        further = [rule | {"rule": f"!{fits} || ({rule['rule']})"} for rule in schema.get(RULES, [])]
        schema[RULES] = [{"rule": fits, "message": f"expected {PATTERNS[pattern]}"}, *further]


def _quoted(text: str) -> str:
    """Returns ``text`` as a CEL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plain(docstring: str) -> str:
    """Returns a docstring as ``kubectl explain`` shows it: no markup, no line breaks inside a paragraph."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring).replace("``", ""))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
