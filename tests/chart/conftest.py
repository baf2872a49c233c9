"""The rendered chart, and an API server without our definitions."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.api_server import ApiServer

from charts.golden import render_templates

Json = dict[str, Any]
Objects = Callable[..., list[Json]]


def objects_of(values: Json, namespace: str = "anamnesis") -> list[Json]:
    """All objects that a release would install, including hooks."""
    texts = render_templates(values, namespace)
    del texts["NOTES.txt"]
    return [document for text in texts.values() for document in yaml.safe_load_all(text) if document]


def find_object(objects: list[Json], kind: str, name: str = "anamnesis-operator") -> Json:
    (match,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return match


@pytest.fixture(scope="session")
def empty_cluster(api_server_binaries: Path) -> Iterator[ApiServer]:
    """A separate API server: only releases install definitions on it."""
    server = ApiServer(api_server_binaries, users={"rossi": [], "weber": [], "moretti": []})
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def release_namespace(empty_cluster: ApiServer) -> str:
    """A new namespace with the Pod Security Standard ``restricted``."""
    return make_namespace(empty_cluster)


def make_namespace(cluster: ApiServer) -> str:
    name = f"chart-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = {"metadata": {"name": "default"}}  # a controller would make it
    cluster.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    return name


CLUSTER_KINDS = ("crd", "validatingadmissionpolicy", "validatingadmissionpolicybinding", "clusterrole")


def remove_cluster_objects(cluster: ApiServer, kinds: tuple[str, ...] = CLUSTER_KINDS) -> None:
    """Removes our cluster-wide objects, which releases leave."""
    for kind in kinds:
        names = cluster.kubectl("get", kind, "--output=name").split()
        if ours := [name for name in names if "anamnesis" in name]:
            cluster.kubectl("delete", *ours)
