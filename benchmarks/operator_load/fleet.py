"""Models and their sites on a real API server, each site with a source of its own in a folder."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi, resource_path
from anamnesis.records import InputError
from tests.builders.api_server import ApiServer
from tests.builders.resource_documents import PNEUMONIA, document, model_spec, site_spec

NAMESPACE = "fleet"
_MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
_PATIENTS_PER_SITE = 4
_CREATING_THREADS = 8


@dataclass(frozen=True, slots=True)
class FleetSize:
    """How many objects there are.

    Attributes:
        models: number of models.
        sites: number of sites of each model; no two models share a site.
        poll_interval: of each site, in seconds.
    """

    models: int
    sites: int
    poll_interval: int

    @property
    def objects(self) -> int:
        """Models and sites."""
        return self.models * (1 + self.sites)

    def model_names(self) -> list[str]:
        """Names of all models."""
        return [f"model-{number:04}" for number in range(self.models)]

    def sites_of(self, model: str) -> list[str]:
        """Names of the sites of a model."""
        return [f"{model.replace('model', 'site')}-{number}" for number in range(self.sites)]

    def site_names(self) -> list[str]:
        """Names of all sites."""
        return [site for model in self.model_names() for site in self.sites_of(model)]


def find_api_server() -> Path:
    """Returns the folder of an API server.

    Raises:
        InputError: the environment names none.
    """
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS", ""))
    if not (folder / "kube-apiserver").exists():
        raise InputError(
            "no API server: set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl, as envtest does"
        )
    return folder


class Fleet:
    """The models and sites of one measurement.

    Args:
        server: the API server.
        size: how many.
        folder: for sources, stores and registries.
    """

    def __init__(self, server: ApiServer, size: FleetSize, folder: Path) -> None:
        self.size, self._server, self._folder = size, server, folder
        self.api = KubernetesApi(load_access({}, str(server.kubeconfig())))

    def source_folder(self, site: str) -> Path:
        """Returns the folder that is the source of a site."""
        return self._folder / "sources" / site

    def create(self) -> None:
        """Installs the definitions, then creates all folders, sites and models."""
        for name in ("crds", "admission"):
            self._server.kubectl("apply", "--server-side", f"--kustomize={_MANIFESTS / name}")
        self._server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        self._server.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        (self._folder / "split.key").write_text("k" * 64)
        for site in self.size.site_names():
            self.source_folder(site).mkdir(parents=True)
            for number in range(_PATIENTS_PER_SITE):
                (self.source_folder(site) / f"patient-{number}.png").write_bytes(b"not read by a poll")
        with ThreadPoolExecutor(_CREATING_THREADS) as threads:
            list(threads.map(self._create_resource, self._documents()))

    def change(self, kind: str, name: str, number: int) -> int:
        """Changes a number in the spec of a resource; returns its new generation."""
        spec: dict[str, Any] = {"historyLimit": 10 + number % 80}
        if kind == "Site":
            spec = {"maximumQuarantineShare": f"0.{10 + number % 80}"}
        changed = self.api.patch(resource_path(kind, NAMESPACE, name), {"spec": spec})
        assert changed is not None
        return int(changed["metadata"]["generation"])

    def _create_resource(self, resource: dict[str, Any]) -> None:
        self.api.create(resource_path(resource["kind"], NAMESPACE), resource)

    def _documents(self) -> Iterator[dict[str, Any]]:
        for model in self.size.model_names():
            for site in self.size.sites_of(model):
                yield self._site_document(site)
            yield self._model_document(model)

    def _site_document(self, name: str) -> dict[str, Any]:
        source = {"type": "Folder", "folder": {"path": str(self.source_folder(name))}}
        source |= {"pollInterval": f"{self.size.poll_interval}s"}
        store = (self._folder / "stores" / name).as_uri()
        return document("Site", name, site_spec(source, store, PNEUMONIA, "DX"))

    def _model_document(self, name: str) -> dict[str, Any]:
        changes = {
            "registry": {"url": (self._folder / "registries" / name).as_uri()},
            "splitKey": {"type": "File", "file": {"path": str(self._folder / "split.key")}},
            "backend": {"type": "Local"},
            "trigger": {"minimumNewPatients": 20},
        }
        return document("ContinualModel", name, model_spec(self.size.sites_of(name), changes))


def is_current(resource: dict[str, Any]) -> bool:
    """Whether the status describes the spec as it is."""
    return bool(resource.get("status", {}).get("observedGeneration") == resource["metadata"]["generation"])
