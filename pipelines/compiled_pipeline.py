"""Reads a compiled pipeline and checks arguments against its parameters. Needs no kfp."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from anamnesis.records import InputError, digest_bytes

MAXIMUM_BYTES = 100_000
"""Maximum size of all arguments together. A step receives them in one argument of at most 128 KiB."""

_PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A compiled pipeline.

    Attributes:
        name: name of the pipeline.
        digest: digest of the file.
        steps: names of the components, each one after its dependencies.
        parameters: name -> definition in the pipeline's intermediate representation (IR).
    """

    name: str
    digest: str
    steps: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]


def read_compiled(path: Path) -> CompiledPipeline:
    """Reads a compiled pipeline.

    Raises:
        InputError: the file is missing or is not a compiled pipeline.
    """
    try:
        data = path.read_bytes()
        ir = next(yaml.load_all(data, yaml.CSafeLoader))
        steps = tuple(_component_names(ir["root"]["dag"]["tasks"], ir["components"]))
        parameters = ir["root"].get("inputDefinitions", {}).get("parameters", {})
        return CompiledPipeline(ir["pipelineInfo"]["name"], digest_bytes(data), steps, parameters)
    except FileNotFoundError:
        raise InputError(
            f"{path}: the file does not exist; compile the pipelines with: python -m anamnesis.pipelines.compile"
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise InputError(
            f"{path}: not a compiled pipeline ({type(error).__name__}: {error}); compile the pipelines with: python "
            "-m anamnesis.pipelines.compile"
        ) from None


def _component_names(
    tasks: Mapping[str, Mapping[str, Any]], components: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yields the names of the components, each one after its dependencies; a condition is replaced by its content."""
    graph = {name: task.get("dependentTasks", ()) for name, task in tasks.items()}
    for name in TopologicalSorter(graph).static_order():
        nested_dag = components[tasks[name]["componentRef"]["name"]].get("dag")
        if nested_dag:
            yield from _component_names(nested_dag["tasks"], components)
        else:
            yield name.replace("-", "_")


def check_arguments(pipeline: CompiledPipeline, arguments: Mapping[str, object]) -> None:
    """Checks names, types and size of arguments, and text that Kubeflow would silently replace.

    Raises:
        InputError: an argument is unknown, missing, of the wrong type, too long, or contains a placeholder of Kubeflow.
    """
    if unknown_names := sorted(set(arguments) - set(pipeline.parameters)):
        raise InputError(
            f"pipeline parameter {unknown_names[0]}: {pipeline.name} has no such parameter; use one of "
            f"{', '.join(pipeline.parameters)}"
        )
    for name, definition in pipeline.parameters.items():
        if name in arguments:
            _check_argument(name, arguments[name], definition["parameterType"])
        elif not definition.get("isOptional"):
            raise InputError(f"pipeline parameter {name}: missing; pipeline {pipeline.name} requires this parameter")
    if (size := _json_size(dict(arguments))) > MAXIMUM_BYTES:
        name = max(arguments, key=lambda name: _json_size(arguments[name]))
        raise InputError(
            f"pipeline parameter {name}: expected at most {MAXIMUM_BYTES} bytes for all parameters together, found "
            f"{_json_size(arguments[name])} of {size} bytes{_largest_parts(arguments[name])}; use fewer sites in the "
            "model, or shorter lists, names and options in the model and its Sites"
        )


def _json_size(value: object) -> int:
    return len(json.dumps(value))


def _largest_parts(value: object) -> str:
    """Returns the largest fields of a parameter that is a JSON object, with their sizes; empty for any other."""
    try:
        fields = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return ""
    if not isinstance(fields, dict):
        return ""
    sizes = sorted(((_json_size(field), name) for name, field in fields.items()), reverse=True)[:3]
    return " (the largest: " + ", ".join(f"{name} {size}" for size, name in sizes) + ")"


def _check_argument(name: str, value: object, parameter_type: str) -> None:
    if not isinstance(value, _PARAMETER_TYPES[parameter_type]) or (
        isinstance(value, bool) and parameter_type != "BOOLEAN"
    ):
        raise InputError(f"pipeline parameter {name}: expected {parameter_type}, found {type(value).__name__}")
    text = json.dumps(value)
    for placeholder in ("{{$", "{{channel:"):
        if placeholder in text:
            raise InputError(
                f"pipeline parameter {name}: contains {placeholder!r}, which Kubeflow would replace; remove this text"
            )
