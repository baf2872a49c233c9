"""The real API server with our resources, and a namespace for each test."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from toys.apiserver import ApiServer

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


@pytest.fixture(scope="session")
def cluster(api_server: ApiServer) -> ApiServer:
    """The API server with ``manifests/crds`` and ``manifests/admission``, installed once for the whole session."""
    for folder in ("crds", "admission"):
        if list((MANIFESTS / folder).glob("*.yaml")):
            api_server.kubectl("apply", "--server-side", "-f", str(MANIFESTS / folder))
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    return api_server


@pytest.fixture
def namespace(cluster: ApiServer) -> str:
    """A fresh namespace. Nothing deletes it: that takes controllers, and the server ends with the session."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def eventually(check: Callable[[], bool], seconds: float = 30) -> None:
    """Returns once ``check`` holds; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
