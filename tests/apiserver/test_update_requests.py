"""The typed request of a ModelUpdate on the real API server: every byte comes back, and people can read it."""

import dataclasses
import secrets

import yaml
from builders.api_server import ApiServer
from builders.resource_documents import REQUEST
from builders.update_requests import UPDATE_REQUESTS
from builders.valid_resources import API, VALID_RESOURCES, server_refusal, with_field
from hypothesis import HealthCheck, given, settings

from anamnesis.operator.api.record_fields import to_resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.records import SiteRef, Task, TaskType, canonical_json, encode
from anamnesis.updates.requests import UpdateRequest

UPDATE = VALID_RESOURCES["ModelUpdate"]
UPDATES = f"{API}/namespaces/default/modelupdates"


def store_and_read(server: ApiServer, request: UpdateRequest) -> UpdateRequest:
    document = with_field(UPDATE, "spec.request", to_resource(request))
    name = f"chest-{secrets.token_hex(5)}"
    server.request("POST", f"{UPDATES}?fieldValidation=Strict", with_field(document, "metadata.name", name))
    stored_update = server.request("GET", f"{UPDATES}/{name}")
    server.request("DELETE", f"{UPDATES}/{name}")
    return ModelUpdate.model_validate(stored_update).spec.request


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=UPDATE_REQUESTS)
def test_a_stored_request_keeps_its_canonical_bytes(cluster: ApiServer, request: UpdateRequest) -> None:
    stored_request = store_and_read(cluster, request)
    assert canonical_json(encode(stored_request)) == canonical_json(encode(request))


def test_the_longest_request_of_a_model_fits(cluster: ApiServer) -> None:
    classes = tuple(f"{number:03}{'c' * 60}" for number in range(256))
    task = Task("t" * 63, TaskType.CLASSIFICATION, classes)
    sites = tuple(SiteRef(f"site-{number}", f"s3://{'b' * 1019}", task, "sha256:" + "1" * 64) for number in range(64))
    assert len(store_and_read(cluster, dataclasses.replace(REQUEST, sites=sites)).sites) == 64


def test_a_request_beyond_its_bounds_is_refused(cluster: ApiServer) -> None:
    site = to_resource(SiteRef("ulm", "s3://images/ulm", REQUEST.site.task))
    for path, value, message in (
        ("author", "x" * 2049, "may not be more than 2048"),
        ("sites", [site] * 257, "must have at most 256 items"),
        ("configuration.options", {f"o{number}": "1" for number in range(257)}, "must have at most 256"),
        ("site.testFraction", "half", 'expected a number in quotes, like "0.001"'),
        ("autor", "me", 'unknown field "spec.request.autor"'),
    ):
        assert message in server_refusal(cluster, with_field(UPDATE, f"spec.request.{path}", value))


def test_kubectl_shows_a_request_as_fields(cluster: ApiServer, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=yaml.safe_dump(UPDATE))
    text = cluster.kubectl("-n", namespace, "get", "modelupdate", UPDATE["metadata"]["name"], "-o", "yaml")
    assert 'learningRate: "0.001"' in text
    assert yaml.safe_load(text)["spec"]["request"] == to_resource(REQUEST)
