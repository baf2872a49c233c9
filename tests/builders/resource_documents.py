"""Minimal resources as JSON; a test adds the fields that it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.record_fields import to_resource
from anamnesis.records import Configuration, SiteConfig, Task, TaskType
from anamnesis.updates.requests import UpdateRequest

Json = dict[str, Any]
NOTHING: Mapping[str, Any] = {}
BARS: Json = {"name": "bars", "type": "Classification", "classes": ["left", "right"], "primaryMetric": "Accuracy"}
PNEUMONIA: Json = {
    "name": "pneumonia",
    "type": "Classification",
    "classes": ["normal", "pneumonia"],
    "primaryMetric": "AUROC",
}
REQUEST = UpdateRequest(
    model="chest",
    registry="s3://models/chest",
    site=SiteConfig(
        "guangzhou", "s3://incoming/guangzhou", ("DX",), Task("t", TaskType.CLASSIFICATION, ("a", "b"), "AUROC")
    ),
    store="s3://images/guangzhou",
    configuration=Configuration("ewc_prototype", {"penalty": 3000.0, "fisher": "sampled"}),
    split_key="env:ANAMNESIS_SPLIT_KEY",
)
REQUEST_DOCUMENT: Json = to_resource(REQUEST)


def document(kind: str, name: str, spec: Mapping[str, Any], metadata: Mapping[str, Any] = NOTHING) -> Json:
    """Returns a resource."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": dict(spec)}


def site_spec(source: Mapping[str, Any], store: str, task: Mapping[str, Any] = BARS, modality: str = "OT") -> Json:
    """Returns the spec of a Site."""
    return {"source": dict(source), "modalities": [modality], "task": dict(task), "store": store}


def model_spec(sites: Sequence[str], changes: Mapping[str, Any] = NOTHING) -> Json:
    """Returns the spec of a ContinualModel that learns from any number of patients; ``changes`` replace fields."""
    return {
        "method": {"name": "Finetune"},
        "sites": [{"name": site} for site in sites],
        "gate": {"floor": "0.80", "margin": "0.05", "approval": "Required"},
        "registry": {"url": "s3://models/chest"},
        "trigger": {"minimumNewPatients": 0},
        "changePlan": {"minimumPatients": 1},
        **changes,
    }
