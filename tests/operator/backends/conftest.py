"""A tiny pipeline, and two servers of Kubeflow Pipelines that it can be sent to: a stand-in, and the real one."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.pipelines_server import PipelinesServer
from kfp import dsl

from anamnesis import __version__
from anamnesis.components.image import component
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.pipelines.compile import compile_pipeline
from anamnesis.pipelines.runtime import Runtime

SECONDS = 120


@component
def say(what: str) -> str:
    import time

    if what == "refuse":
        raise ValueError("patient 4711")
    if what == "wait":
        time.sleep(600)
    return what


@dsl.pipeline(name="probe")
def probe(what: str = "", workers: int = 2) -> None:
    say(what=what).set_caching_options(False)


@pytest.fixture(scope="session")
def probe_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled pipeline of one step; ``what``: refuse, wait, or anything."""
    path = tmp_path_factory.mktemp("probe") / "probe.yaml"
    path.write_bytes(compile_pipeline(probe))
    return path


@dataclass(frozen=True)
class PipelinesTarget:
    """A server, and what makes time pass on it."""

    backend: KubeflowBackend
    pass_time: Callable[[], None]

    def advance_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, "it never came to that"
            self.pass_time()


@pytest.fixture
def server() -> Iterator[PipelinesServer]:
    with PipelinesServer() as running:
        yield running


@pytest.fixture
def backend(server: PipelinesServer) -> KubeflowBackend:
    return KubeflowBackend(server.url, connect(server.url, {}), "lab/chest")


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.cluster)])
def target(request: pytest.FixtureRequest) -> PipelinesTarget:
    """Each server in turn; the real one is at ``PIPELINES_URL`` and has our training image."""
    if request.param == "stand-in":
        server = request.getfixturevalue("server")
        return PipelinesTarget(request.getfixturevalue("backend"), server.advance)
    url = os.environ.get("PIPELINES_URL")
    if not url:
        pytest.skip("PIPELINES_URL is not set; `make cluster-test` sets it")
    runtime = Runtime(image=f"anamnesis-training:{__version__}")
    experiment = f"lab/{request.node.name}/{time.time_ns()}"
    return PipelinesTarget(
        KubeflowBackend(url, connect(url, {}), experiment, runtime=lambda _: runtime), lambda: time.sleep(0.5)
    )
