"""Options of a method as a map of text: each value keeps its type, and ``kubectl -o yaml`` shows it plainly.

A number or a boolean is its JSON, for example ``"0.5"``. A string is itself, and quoted where it would read as JSON.
The options of a group have the group's name before them: ``consolidation.penalty``.
"""

import json
import re
from collections.abc import Iterator, Mapping

from pydantic.alias_generators import to_camel


def format_options(options: Mapping[str, object]) -> dict[str, str]:
    """Returns options, with their names in snake case, as the resource shows them."""
    return dict(_format_group(options, ""))


def parse_options(texts: Mapping[str, str]) -> dict[str, object]:
    """Returns the options that ``format_options`` was given."""
    options: dict[str, object] = {}
    for path, text in texts.items():
        *groups, name = map(_to_snake, path.split("."))
        group: dict[str, object] = options
        for group_name in groups:
            nested = group.setdefault(group_name, {})
            if not isinstance(nested, dict):
                raise ValueError(f"{path}: {group_name} has a value and also options below it; remove one of the two")
            group = nested
        group[name] = _parse_value(text)
    return options


def _format_group(options: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        camel_name = to_camel(name)
        path = f"{prefix}{camel_name if _to_snake(camel_name) == name else name}"  # top_5 has no way back from top5
        if isinstance(value, Mapping) and value:
            yield from _format_group(value, f"{path}.")
        elif isinstance(value, str) and _parse_value(value) == value:
            yield path, value
        else:
            yield path, json.dumps(value, ensure_ascii=False, allow_nan=False)


def _parse_value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _to_snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)
