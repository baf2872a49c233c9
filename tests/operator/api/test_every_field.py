"""Every field of every definition has bounds, and an effect.

A field that changes a request or the pods of a run proves its effect by that. For every other field the table says
which module reads it, and the test looks into the module.
"""

import ast
import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import anamnesis
from anamnesis.operator.addresses import split_key_reference
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.api_model import method_field_name
from anamnesis.operator.api.method import supported_methods
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS, resource_schema
from anamnesis.operator.api.string_types import DECIMAL_PATTERN
from anamnesis.operator.backends.credentials import collect_credentials
from anamnesis.operator.backends.pod_runtime import runtime_for
from anamnesis.operator.requests import evaluation_request, site_ref, update_request
from anamnesis.records import InputError, SignerRole, encode
from anamnesis.registry.signing import make_signer

Json = dict[str, Any]
PACKAGE = Path(anamnesis.__file__).parent
SAMPLES = PACKAGE.parent / "manifests" / "samples"
DOCUMENTS = list(yaml.safe_load_all((SAMPLES / "kubeflow.yaml").read_text(encoding="utf-8")))
MODEL = next(document for document in DOCUMENTS if document["kind"] == "ContinualModel")
SITE = next(document for document in DOCUMENTS if document["metadata"]["name"] == "guangzhou")
RUN_KEY = "k" * 43 + "="
(public_key,) = (key for key in MODEL["spec"]["registry"]["signing"]["publicKeys"] if key["role"] == "Run")
public_key["key"] = make_signer(SignerRole.RUN, RUN_KEY).public_key  # that of the sample has no private key here
LOCAL = {"type": "Local"}
KEYS = [
    {"type": "File", "file": {"path": "/keys/one"}},
    {"type": "Environment", "environment": {"name": "ONE"}},
    {"type": "Secret", "secret": {"name": "one", "key": "one"}},
]
SOURCES = [
    {"type": "Folder", "folder": {"path": "/one"}},
    {"type": "DICOMweb", "dicomweb": {"url": "https://one"}},
    {"type": "Orthanc", "orthanc": {"url": "https://one"}},
]
CANDIDATES: list[object] = [
    *("0.5", "0.25", "3", 2, 8, 16, 3, True, "other", "Other", "Suspended", "1h", "23:00", "Europe/Berlin"),
    *("0 3 * * *", "s3://other/x", "/other", "https://other", "2Gi", "1Gi", "CT", ["CT"], ["other"], ["a", "b"]),
    *("250m", "16", "64Gi", [32, 32], ["Monday"], ["Sex"], ["EWC"], ["CHEST"], [], "OTHER", "other/x", "20240131"),
    *("All", "sha256:" + "2" * 64, ["0.125"], [64, 64, 64], False, 12, 32, 64, 4, 6),
]  # fmt: skip
NETWORKS: list[Json] = [
    {"type": "SmallCNN", "weights": {"url": "s3://one/w", "sha256": "sha256:" + "1" * 64}},
    {"type": "SmallCNN", "input": {"normalisation": {"mean": ["0.5"], "std": ["0.25"]}}},
    *({"type": name} for name in ("timm/resnet18", "monai/resnet18", "monai/DenseNet121", "monai/EfficientNetBN")),
    {"type": "monai/resnet18", "input": {"size": [32, 32, 32], "patches": {"volume": [32, 32, 32]}}},
    *({"type": name} for name in ("monai/ViT", "monai/SwinTransformer")),
]
CHOICES = (".type", ".labels.from")
"""Fields that choose a member of a union: they are checked together with the member."""
READ_ELSEWHERE = {
    "spec.state": ("operator/plan/site_checks.py", "state"),
    "spec.historyLimit": ("operator/plan/planning.py", "history_limit"),
    "spec.trigger.minimumNewPatients": ("operator/plan/trigger_checks.py", "minimum_new_patients"),
    "spec.trigger.quietPeriod": ("operator/plan/trigger_checks.py", "quiet_period"),
    "spec.trigger.schedule.cron": ("operator/api/schedule.py", "cron"),
    "spec.trigger.schedule.timeZone": ("operator/api/schedule.py", "time_zone"),
    "spec.trigger.window.start": ("operator/api/schedule.py", "start"),
    "spec.trigger.window.end": ("operator/api/schedule.py", "end"),
    "spec.trigger.window.days": ("operator/api/schedule.py", "days"),
    "spec.trigger.window.timeZone": ("operator/api/schedule.py", "time_zone"),
    "spec.evaluation.schedule.cron": ("operator/controllers/continualmodel/registry_reader.py", "schedule"),
    "spec.evaluation.schedule.timeZone": ("operator/controllers/continualmodel/registry_reader.py", "schedule"),
    "spec.evaluation.tolerance": ("operator/controllers/continualmodel/conditions/task_scores.py", "tolerance"),
    "spec.evaluation.recentFloor": ("operator/controllers/continualmodel/conditions/task_scores.py", "recent_floor"),
    "spec.changePlan.allowedMethods": ("operator/plan/site_checks.py", "allowed_methods"),
    "spec.registry.shared": ("operator/controllers/registry_access.py", "shared"),
    "spec.registry.signing.publicKeys.0.name": ("operator/requests.py", "name"),
    "spec.registry.signing.publicKeys.0.role": ("operator/requests.py", "role"),
    "spec.registry.signing.publicKeys.0.key": ("operator/requests.py", "key"),
    "spec.registry.signing.publicKeys.0.lastEntry": ("operator/requests.py", "last_entry"),
    "spec.registry.signing.runKeySecret.name": ("operator/backends/credentials.py", "run_key_secret"),
    "spec.backend.type": ("operator/api/model.py", "type"),
    "spec.backend.retries": ("operator/plan/update_lifecycle.py", "retries"),
    "spec.backend.runDeadline": ("operator/plan/run_judgement.py", "run_deadline"),
    "spec.backend.startDeadline": ("operator/plan/update_lifecycle.py", "start_deadline"),
    "spec.backend.kubeflow.endpoint": ("operator/backends/factory.py", "endpoint"),
    "spec.backend.kubeflow.namespace": ("operator/backends/factory.py", "namespace"),
    "spec.backend.kubeflow.experiment": ("operator/backends/factory.py", "experiment"),
    "spec.sites.0.name": ("operator/controllers/registries.py", "sites"),
    "spec.source.pollInterval": ("operator/controllers/site/controller.py", "poll_interval"),
}


def nodes(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Yields the fields that hold a value; of a list of objects, those of its first item."""
    if schema["type"] == "object" and schema.get("properties"):
        for name, part in schema["properties"].items():
            yield from nodes(part, f"{path}.{name}")
    elif schema["type"] == "array" and schema["items"]["type"] == "object":
        for name, part in schema["items"]["properties"].items():
            yield from nodes(part, f"{path}.0.{name}")
    elif schema["type"] != "object":  # a method without options
        yield path, schema


SPECS = {
    definition.resource_type.__name__: dict(
        nodes(resource_schema(definition.resource_type)["properties"]["spec"], "spec")
    )
    for definition in RESOURCE_DEFINITIONS
}


def changed(document: Json, path: str, value: object) -> Json:
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    node: Any = document
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return document


def variants(kind: str) -> Iterator[Json]:
    """Yields valid resources that set all members of unions, and the options of every method."""
    if kind == "Site":
        yield SITE
        yield changed(SITE, "spec.labels", {"from": "Container"})
        yield changed(
            SITE, "spec.task", {"name": "a", "type": "Segmentation", "classes": ["b"], "primaryMetric": "Dice"}
        )
        yield from (changed(SITE, "spec.splitKey", key) for key in KEYS)
        elsewhere = changed(SITE, "spec.labels.manifest", "s3://one/labels.csv")
        yield from (changed(elsewhere, "spec.source", source) for source in SOURCES)
        return
    yield from (changed(MODEL, "spec.network", network) for network in NETWORKS)
    yield changed(MODEL, "spec.gate.tasks", [{"name": "pneumonia", "floor": "0.9"}])
    yield changed(MODEL, "spec.gate.approval", "Automatic")
    yield changed(MODEL, "spec.backend.kubeflow.tolerations", [{"key": "a", "operator": "Equal", "value": "b"}])
    for source in ("secretName", "configMapName"):
        yield changed(MODEL, "spec.backend.kubeflow.volumes", [{source: "files", "path": "/files"}])
    variable = {"name": "SITE", "type": "ConfigMap", "configMap": {"name": "site", "key": "name"}}
    yield changed(MODEL, "spec.backend.kubeflow.env", [variable])
    yield from (changed(changed(MODEL, "spec.backend", LOCAL), "spec.splitKey", key) for key in KEYS)
    for entry in supported_methods().values():
        allowed = changed(MODEL, "spec.changePlan", {"storedImages": "Allowed"})
        yield changed(allowed, "spec.method", {"name": entry.name, method_field_name(entry.name): {}})
    sharing = {"name": "EWCPrototype", "ewcPrototype": {"visualPrototypes": {"sharing": "Shared"}}}
    yield changed(MODEL, "spec.method", sharing)


PYTHON_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list}


def candidates(schema: Json) -> list[object]:
    return [value for value in (*schema.get("enum", ()), *CANDIDATES) if type(value) is PYTHON_TYPES[schema["type"]]]


def fingerprint(model_document: Json, site_document: Json) -> str:
    """Returns everything that runs receive of two resources.

    Raises:
        ValidationError: one of them is not valid.
    """
    model = LoadedResource(ContinualModel.model_validate(model_document), Path("/files/model.yaml"))
    site = LoadedResource(Site.model_validate(site_document), Path("/files/site.yaml"))
    spec, reference = model.resource.spec, split_key_reference(model, site, Path("/default.key"))
    learned = (site_ref(site, "sha256:" + "1" * 64),)
    update = update_request(model, site, split_key=reference, base="", learned_sites=learned, author="a")
    evaluation = evaluation_request(
        model,
        {site.name: site},
        learned_sites=learned,
        champion="",
        split_keys={site.name: reference},
        name="e",
        due_at=datetime(2026, 1, 1, tzinfo=UTC),
        author="a",
    )
    credentials = collect_credentials(spec, (site.resource,), any_secret)
    runtime = runtime_for(spec, credentials) if spec.backend.kubeflow else None
    return json.dumps([encode(update), encode(evaluation), repr(credentials), repr(runtime)], default=str)


def any_secret(name: str) -> Mapping[str, str]:
    return {**dict.fromkeys(("key", "one", "other", "AWS_REGION"), RUN_KEY), "username": "u", "password": "p"}


@cache
def variants_and_effects(kind: str) -> list[tuple[Json, str]]:
    """The variants of a kind, each with what runs receive of it."""
    return [(document, read(kind, document)) for document in variants(kind)]


def read(kind: str, document: Json) -> str:
    return fingerprint(document, SITE) if kind == "ContinualModel" else fingerprint(MODEL, document)


def value_at(document: Json, path: str) -> object:
    node: Any = document
    for part in path.split("."):
        node = node.get(part, {}) if isinstance(node, dict) else node[int(part)]
    return node


def depth_held(document: Json, path: str) -> int:
    """How many steps of the path the document has: where most are there, a new value is most likely valid."""
    node: Any = document
    for depth, part in enumerate(path.split(".")):
        if not ((isinstance(node, list) and node) or (isinstance(node, dict) and part in node)):
            return depth
        node = node[int(part)] if isinstance(node, list) else node[part]
    return len(path.split("."))


def has_effect(kind: str, path: str, schema: Json) -> bool:
    if path == "spec.method.name" or path.endswith(CHOICES):  # it is changed with the member that it chooses
        texts = {json.dumps(value_at(document, path)): effect for document, effect in variants_and_effects(kind)}
        return len(texts) > 1 and len(set(texts.values())) == len(texts)
    for document, before in sorted(variants_and_effects(kind), key=lambda pair: -depth_held(pair[0], path)):
        for value in candidates(schema):
            try:
                if read(kind, changed(document, path, value)) != before:
                    return True
            except (ValidationError, InputError, KeyError, IndexError, TypeError):
                continue
    return False


def attributes_of(file: str) -> set[str]:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


PATHS = [(kind, path) for kind in ("ContinualModel", "Site") for path in SPECS[kind]]


@pytest.mark.parametrize(("kind", "path"), PATHS, ids=[f"{kind}-{path}" for kind, path in PATHS])
def test_every_field_has_an_effect(kind: str, path: str) -> None:
    if path in READ_ELSEWHERE:
        file, attribute = READ_ELSEWHERE[path]
        assert attribute in attributes_of(file), f"{file} does not read {attribute}"
    else:
        assert has_effect(kind, path, SPECS[kind][path]), f"{path}: no value of {path} changes a request or a run"


def test_the_walk_notices_a_field_without_effect() -> None:
    assert not has_effect("ContinualModel", "spec.historyLimit", SPECS["ContinualModel"]["spec.historyLimit"])
    assert "no_such_field" not in attributes_of("operator/plan/planning.py")


@pytest.mark.parametrize("kind", SPECS)
def test_every_number_has_a_lower_and_an_upper_bound(kind: str) -> None:
    integers = {path: node for path, node in SPECS[kind].items() if node["type"] == "integer" and "enum" not in node}
    assert [path for path, node in integers.items() if not {"minimum", "maximum"} <= set(node)] == []
    unbounded = [
        path
        for path, node in SPECS[kind].items()
        if any(
            DECIMAL_PATTERN.replace("\\", "\\\\") in rule["rule"] for rule in node.get("x-kubernetes-validations", ())
        )
        and not any("double(self)" in rule["rule"] for rule in node["x-kubernetes-validations"])
    ]
    assert unbounded == []


@pytest.mark.parametrize("kind", SPECS)
def test_every_text_and_list_is_bounded(kind: str) -> None:
    texts = [
        path for path, node in SPECS[kind].items() if node["type"] == "string" and not {"maxLength", "enum"} & set(node)
    ]
    lists = [path for path, node in SPECS[kind].items() if node["type"] == "array" and "maxItems" not in node]
    assert (texts, lists) == ([], [])
