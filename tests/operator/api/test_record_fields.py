"""An UpdateRequest as a typed part of a ModelUpdate: nothing is lost, and its size is bounded."""

import dataclasses
from typing import Any

import pytest
from builders.resource_documents import REQUEST, REQUEST_DOCUMENT
from builders.update_requests import UPDATE_REQUESTS
from builders.valid_resources import VALID_RESOURCES, types_refusal, with_field
from hypothesis import given
from pydantic import ValidationError

from anamnesis.operator.api.option_values import format_options, parse_options
from anamnesis.operator.api.record_fields import record_model, to_resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.records import TrainingSettings, canonical_json, encode
from anamnesis.updates.requests import UpdateRequest

UPDATE = VALID_RESOURCES["ModelUpdate"]


def read_request(document: object) -> UpdateRequest:
    return ModelUpdate.model_validate(with_field(UPDATE, "spec.request", document)).spec.request


@given(request=UPDATE_REQUESTS)
def test_a_request_keeps_its_canonical_bytes_through_the_resource(request: UpdateRequest) -> None:
    restored_request = read_request(to_resource(request))
    assert restored_request == request
    assert canonical_json(encode(restored_request)) == canonical_json(encode(request))


def test_a_resource_is_written_as_it_was_read() -> None:
    update = ModelUpdate.model_validate(UPDATE)
    assert update.spec.request == REQUEST
    assert update.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]["request"] == REQUEST_DOCUMENT


def test_a_request_is_readable() -> None:
    assert REQUEST_DOCUMENT["site"]["testFraction"] == "0.2"
    assert REQUEST_DOCUMENT["configuration"]["training"]["learningRate"] == "0.001"
    assert REQUEST_DOCUMENT["configuration"]["options"] == {"penalty": "3000.0", "fisher": "sampled"}
    assert "trigger" not in REQUEST_DOCUMENT


OPTIONS = [
    ({"fisher_samples": 8}, {"fisherSamples": "8"}),
    ({"top_5": True}, {"top_5": "true"}),
    ({"file": "3"}, {"file": '"3"'}),
    ({"penalty": {"strength": 0.5, "mode": "online"}}, {"penalty.strength": "0.5", "penalty.mode": "online"}),
    ({"replay": {}, "sizes": [1, 2], "file": None}, {"replay": "{}", "sizes": "[1, 2]", "file": "null"}),
]


@pytest.mark.parametrize(("options", "texts"), OPTIONS)
def test_options_keep_their_types_and_groups(options: dict[str, Any], texts: dict[str, str]) -> None:
    assert format_options(options) == texts
    assert parse_options(texts) == options


def test_an_option_is_not_also_a_group() -> None:
    with pytest.raises(ValueError, match="penalty has a value and also options below it"):
        parse_options({"penalty": "1", "penalty.mode": "online"})


BAD = [
    ("spec.request", "{}", "spec.request: expected fields, found '{}'"),
    ("spec.request.autor", "me", "spec.request.autor: unknown field; valid fields are model, registry"),
    (
        "spec.request.site.testFraction",
        0.2,
        "spec.request.site.testFraction: expected text, found 0.2; put it in quotes",
    ),
    ("spec.request.site.testFraction", "nan", 'testFraction: expected a number in quotes, like "0.001", found'),
    ("spec.request.site.task.classes", ["a"], "spec.request: task 't': classes: expected two or more"),
    ("spec.request.configuration.options", {"a": "x" * 2049}, "spec.request.configuration.options.a: string should"),
    (
        "spec.request.gate.tasks",
        {"head": {"flor": "1"}},
        "tasks.head.flor: unknown field; valid fields are floor",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_a_bad_request_is_refused_with_its_field(path: str, value: object, message: str) -> None:
    assert message in types_refusal(with_field(UPDATE, path, value))


def test_a_request_larger_than_its_resource_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValidationError, match="at most 2048 characters"):
        to_resource(dataclasses.replace(REQUEST, author="x" * 2049))


@dataclasses.dataclass
class RawBytes:
    """A record that no resource can hold.

    Attributes:
        data: without a bound.
    """

    data: bytes


def test_a_resource_holds_no_unbounded_type() -> None:
    with pytest.raises(TypeError, match="a field of a resource cannot hold this type; this is a fault of the program"):
        record_model(RawBytes)


def test_fields_are_those_of_the_data_class() -> None:
    assert list(record_model(TrainingSettings).model_fields) == [f.name for f in dataclasses.fields(TrainingSettings)]
