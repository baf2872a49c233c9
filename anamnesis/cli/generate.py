"""Writes ``operator/api/methods.json`` from the methods' options: ``python -m anamnesis.cli.generate``.

With ``--check`` it writes nothing and fails where the file differs.
"""

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from enum import Enum
from pathlib import Path

from anamnesis.generated import write_or_check

TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def methods_json() -> str:
    """Returns the text of ``methods.json``."""
    from anamnesis.methods import methods

    entries = []
    for name, kind in methods(research=False).items():
        entries.append({
            "method": name,
            "name": kind.__name__,
            "summary": (kind.__doc__ or "").strip().splitlines()[0],
            "earlier_data": kind.needs.earlier_data,
            "stores_exemplars": kind.needs.stores_exemplars,
            "options": options_schema(kind.options_class),
        })  # fmt: skip
    return json.dumps(entries, indent=2) + "\n"


def options_schema(options: type) -> dict[str, dict[str, object]]:
    """Returns option -> JSON Schema with ``description``, ``type``, ``default`` and, for an enumeration, ``enum``."""
    hints, docs = typing.get_type_hints(options), _documentation(options)
    return {
        field.name: {"description": docs.get(field.name, ""), **_schema(hints[field.name], field)}
        for field in dataclasses.fields(options)
    }


def _documentation(options: type) -> dict[str, str]:
    """Returns option -> what the class's docstring says of it under ``Attributes``."""
    section = inspect.cleandoc(options.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _schema(kind: typing.Any, field: "dataclasses.Field[typing.Any]") -> dict[str, object]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):  # X | None: leaving it out is none
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    default = field.default.value if isinstance(field.default, Enum) else field.default
    if issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind], "default": default}
    if kind not in TYPES:
        raise TypeError(
            f"option {field.name}: {kind} has no place in a resource; known are {', '.join(TYPES.values())}"
        )
    return {"type": TYPES[kind], "default": default}


def main(check: bool) -> int:
    """Writes the file, or with ``check`` only says whether it is as it should be; returns the exit code."""
    target = Path(__file__).parents[1] / "operator" / "api" / "methods.json"
    return write_or_check({target: methods_json()}, "anamnesis.cli.generate", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
