"""Draws a component's README and metadata from its code, in the layout of Kubeflow's own catalogue of components."""

import inspect
from collections.abc import Iterable
from typing import Any

import docstring_parser
import yaml

from anamnesis.components.catalogue import Entry

_TYPES = {"String": "str", "Integer": "int", "Double": "float", "Boolean": "bool", "List": "list", "Dict": "dict"}


def readme(entry: Entry) -> str:
    """Returns the text of ``README.md``: what it does, its inputs, its outputs."""
    component = entry.load()
    function, spec = component.python_func, component.component_spec
    docs = docstring_parser.parse(inspect.getdoc(function) or "")
    told = {one.arg_name: one.description or "" for one in docs.params}
    inputs = [(name, _type(one.type), told[name]) for name, one in (spec.inputs or {}).items()]
    outputs = [(name, _type(one.type), told.get(name) or one.description) for name, one in (spec.outputs or {}).items()]
    about = "\n\n".join(text for text in (docs.short_description, docs.long_description) if text)
    return (
        f"# {entry.name}\n\n{about}\n\n"
        f"## Inputs\n\n{_table(inputs)}\n"
        f"## Outputs\n\n{_table(outputs)}\n"
        "Inputs are parameters; outputs of a type `dsl.…` are artifacts, the others parameters.\n"
    )


def metadata(entry: Entry) -> str:
    """Returns the text of ``metadata.yaml``."""
    facts = {
        "name": entry.name,
        "stability": "alpha",
        "dependencies": {"kubeflow": [{"name": "Pipelines", "version": ">=2.17,<3"}]},
        "tags": [entry.category, "medical_imaging", "continual_learning"],
    }
    return "---\n" + yaml.safe_dump(facts, sort_keys=False)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    lines = ["| Name | Type | Description |", "|------|------|-------------|"]
    lines += [f"| `{name}` | `{kind}` | {_line(text)} |" for name, kind, text in rows]
    return "\n".join(lines) + "\n"


def _type(kind: Any) -> str:
    name = str(kind)
    if name.startswith("system."):
        return "dsl." + name.removeprefix("system.").split("@")[0]
    return _TYPES[name]


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
