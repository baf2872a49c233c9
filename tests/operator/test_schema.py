"""The generated definitions: everything is bounded and described, and Kubernetes reads it as the types do."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS
from anamnesis.operator.api.string_types import Duration
from anamnesis.operator.api.structural_schema import structural_schema
from anamnesis.operator.api.value_types import Share, UniqueItems, UniqueNames
from anamnesis.operator.api.write_manifests import main

Node = dict[str, Any]


def walk(schema: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from walk(part, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


NODES = [
    (path, node)
    for definition in RESOURCE_DEFINITIONS
    for version in definition.to_manifest()["spec"]["versions"]
    for path, node in walk(version["schema"]["openAPIV3Schema"], definition.resource_type.__name__)
]


def test_strings_lists_and_numbers_are_bounded() -> None:
    strings = [
        path for path, node in NODES if node["type"] == "string" and not {"maxLength", "enum", "format"} & {*node}
    ]
    lists = [path for path, node in NODES if node["type"] == "array" and "maxItems" not in node]
    assert (strings, lists) == ([], [])
    assert {node["type"] for _, node in NODES} <= {"string", "integer", "boolean", "array", "object"}
    booleans = {path for path, node in NODES if node["type"] == "boolean"}
    assert {path for path in booleans if ".method." not in path and ".network.options." not in path} == {
        "ContinualModel.spec.registry.shared",
        "ModelUpdate.spec.registry.shared",
        "ContinualModel.spec.answers.siteRequired",
        "ModelUpdate.spec.request.gate.siteRequired",
        "ModelUpdate.spec.request.storedImages",
        "ModelUpdate.spec.request.configuration.training.augment",
    }
    integers = [path for path, node in NODES if ".spec." in path and node["type"] == "integer"]
    unbounded = [path for path in integers if not {"maximum", "enum"} & {*dict(NODES)[path]}]
    assert unbounded == []


def test_nothing_is_open_or_referenced() -> None:
    foreign = {"x-kubernetes-preserve-unknown-fields", "$ref", "anyOf", "title", "const"}
    assert [path for path, node in NODES if foreign & {*node}] == []
    maps = [path for path, node in NODES if "additionalProperties" in node]
    request = "ModelUpdate.spec.request"
    options = [f"{request}.configuration.options", f"{request}.configuration.network.options"]
    assert maps == [*options, f"{request}.gate.tasks"]
    assert [path for path in maps if "maxProperties" not in dict(NODES)[path]] == []
    free = [path for path, node in NODES if node["type"] == "object" and not node.get("properties")]
    assert [path for path in free if path not in maps] == ["ContinualModel.spec.method.joint"]


def test_every_field_is_described() -> None:
    exempt_fields = ("apiVersion", "kind", "metadata", "metadata.name")
    undescribed = [path for path, node in NODES if not node.get("description") and path[-2:] not in ("[]", "{}")]
    assert [path for path in undescribed if path.partition(".")[2] not in exempt_fields] == []


def test_every_rule_says_what_to_do() -> None:
    rules = [(path, rule) for path, node in NODES for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 50
    assert [path for path, rule in rules if len(rule["message"].split()) < 3] == []


def test_a_status_has_no_default_but_one_that_says_it_is_new() -> None:
    """A tool that reads kstatus takes a resource without a status for one that is ready."""
    defaults = {path: node["default"] for path, node in NODES if ".status" in path and "default" in node}
    assert set(defaults) == {f"{definition.resource_type.__name__}.status" for definition in RESOURCE_DEFINITIONS}
    assert all(default == {"observedGeneration": -1} for default in defaults.values())


def test_lists_are_sets_maps_or_ordered() -> None:
    plain = {path for path, node in NODES if node["type"] == "array" and "x-kubernetes-list-type" not in node}
    assert plain == {f"ContinualModel.spec.network.input.{field}" for field in ("size", "patches.volume")}


class ExamplePart(ApiModel):
    """A part with ``markup``
    over two lines.

    And a paragraph.
    """

    name: Annotated[str, Field(max_length=5)]
    """Its name."""


class ExampleWhole(ApiModel):
    """The whole."""

    part: ExamplePart | None = None
    share: Share
    parts: Annotated[tuple[ExamplePart, ...], Field(max_length=2), UniqueNames] = ()
    words: Annotated[tuple[Duration, ...], Field(max_length=2), UniqueItems] = ()
    count: Annotated[int, Field(gt=3)] = 4
    """How many."""


def test_a_type_becomes_a_structural_schema() -> None:
    part = {
        "type": "object",
        "description": "A part with markup over two lines.\n\nAnd a paragraph.",
        "required": ["name"],
        "properties": {"name": {"type": "string", "description": "Its name.", "maxLength": 5}},
    }
    properties = structural_schema(ExampleWhole)["properties"]
    assert properties["part"] == part
    assert properties["parts"]["items"] == part
    assert properties["parts"]["x-kubernetes-list-map-keys"] == ["name"]
    assert properties["words"]["x-kubernetes-list-type"] == "set"
    assert properties["words"]["items"]["x-kubernetes-validations"] == [
        {"rule": "self.matches('^[0-9]{1,6}(s|m|h|d)$')", "message": "expected a number and s, m, h or d, like 30m"}
    ]
    assert [rule["message"][:20] for rule in properties["share"]["x-kubernetes-validations"]] == [
        "expected a decimal i",
        "expected a decimal f",
    ]
    assert properties["count"] == {
        "type": "integer",
        "format": "int64",
        "description": "How many. Default: 4.",
        "default": 4,
        "minimum": 3,
        "exclusiveMinimum": True,
    }


def test_the_committed_manifests_are_what_the_types_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(check=True) == 0, capsys.readouterr().err


def test_the_definitions_are_made_without_torch_and_kubernetes() -> None:
    heavy = "{'torch', 'numpy', 'kubernetes', 'kfp'}"
    code = f"import sys; import anamnesis.operator.api.write_manifests; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
