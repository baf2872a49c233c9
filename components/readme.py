"""Renders the README and metadata of a component from its code, in the layout of the Kubeflow component catalogue."""

import inspect
from collections.abc import Iterable
from typing import Any

import docstring_parser
import yaml

from anamnesis.components.catalogue import ComponentEntry

_TYPES = {"String": "str", "Integer": "int", "Double": "float", "Boolean": "bool", "List": "list", "Dict": "dict"}


def render_readme(entry: ComponentEntry) -> str:
    """Returns the text of ``README.md``: summary, inputs and outputs."""
    component = entry.load()
    function, spec = component.python_func, component.component_spec
    docstring = docstring_parser.parse(inspect.getdoc(function) or "")
    descriptions = {parameter.arg_name: parameter.description or "" for parameter in docstring.params}
    inputs = [
        (name, _python_type(definition.type), descriptions[name]) for name, definition in (spec.inputs or {}).items()
    ]
    outputs = [
        (name, _python_type(definition.type), descriptions.get(name) or definition.description)
        for name, definition in (spec.outputs or {}).items()
    ]
    summary = "\n\n".join(text for text in (docstring.short_description, docstring.long_description) if text)
    return (
        f"# {entry.name}\n\n{summary}\n\n"
        f"## Inputs\n\n{_render_table(inputs)}\n"
        f"## Outputs\n\n{_render_table(outputs)}\n"
        "All inputs are parameters. Outputs with a type `dsl.…` are artifacts; all other outputs are parameters.\n"
    )


def render_metadata(entry: ComponentEntry) -> str:
    """Returns the text of ``metadata.yaml``."""
    document = {
        "name": entry.name,
        "stability": "alpha",
        "dependencies": {"kubeflow": [{"name": "Pipelines", "version": ">=2.17,<3"}]},
        "tags": [entry.category, "medical_imaging", "continual_learning"],
    }
    return "---\n" + yaml.safe_dump(document, sort_keys=False)


def _render_table(rows: Iterable[tuple[str, str, str]]) -> str:
    lines = ["| Name | Type | Description |", "|------|------|-------------|"]
    lines += [f"| `{name}` | `{kind}` | {_table_text(text)} |" for name, kind, text in rows]
    return "\n".join(lines) + "\n"


def _python_type(kind: Any) -> str:
    name = str(kind)
    if name.startswith("system."):
        return "dsl." + name.removeprefix("system.").split("@")[0]
    return _TYPES[name]


def _table_text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
