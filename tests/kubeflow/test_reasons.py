"""Why a run waits or fails, on a real node: image, Secret, key, quota, scheduler, memory, and a step's own sentence."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from images.node_pods import kubectl as kubectl_anywhere
from kfp import compiler, dsl
from kubeflow.conftest import IMAGE, SPACE, PipelinesTestbed

from anamnesis.operator.backends.base import PipelineJob, Run
from anamnesis.operator.backends.pod_reader import PodReader
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi
from anamnesis.pipelines.runtime import Runtime, SecretEnv
from anamnesis.registry import read_step_failure
from anamnesis.storage import open_store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
AUTHOR = "anamnesis-operator/uid-1"
QUOTA = "no-accelerators"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def work(request: str, megabytes: int) -> None:
    """Needs memory."""
    held = bytearray(megabytes << 20)
    held[::4096] = b"x" * len(held[::4096])


def pipeline_file(folder: Path, accelerators: int = 0, memory: str = "") -> Path:
    @dsl.pipeline(name="reasons")
    def pipeline(request: str, megabytes: int = 1) -> None:
        task = work(request=request, megabytes=megabytes).set_caching_options(False)
        if accelerators:
            task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(accelerators)
        if memory:
            task.set_memory_limit(memory)

    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture
def pods() -> PodReader:
    return PodReader(KubernetesApi(load_access(os.environ)), SPACE, lambda: datetime.now(UTC))


@pytest.fixture
def quota() -> Iterator[None]:
    """A quota that concerns pods with an accelerator only, so that it disturbs no other run."""
    kubectl_anywhere(f"--namespace={SPACE}", "create", "quota", QUOTA, "--hard=requests.nvidia.com/gpu=0")
    yield
    kubectl_anywhere(f"--namespace={SPACE}", "delete", "quota", QUOTA)


def wait_for_reason(testbed: PipelinesTestbed, run: Run, read: Callable[[Run], str], seconds: float = 240) -> str:
    """Waits until the run says why it waits or failed; it fails the test where the run ends without a reason."""
    deadline = time.monotonic() + seconds
    while not (text := read(current_run := testbed.backend.runs(run.name)[0])):
        assert time.monotonic() < deadline, current_run
        time.sleep(2)
    return text


def submit(testbed: PipelinesTestbed, pods: PodReader, pipeline: Path, runtime: Runtime, megabytes: int = 1) -> Run:
    backend = replace(testbed.backend, runtime=lambda _: runtime, pods=pods)
    object.__setattr__(testbed, "backend", backend)
    return backend.submit(PipelineJob(f"reasons-{testbed.secret}", pipeline, {"request": "{}", "megabytes": megabytes}))


WAITING = {
    "image": (Runtime(image="nowhere.invalid/missing:1"), 0, "the image cannot be pulled (Err"),
    "secret": (Runtime(image=IMAGE, secrets=(SecretEnv("missing", {"a": "A"}),)), 0, 'secret "missing" not found'),
    "node": (Runtime(image=IMAGE), 7, "Insufficient nvidia.com/gpu"),
}


@pytest.mark.parametrize("name", WAITING)
def test_a_step_that_cannot_start_says_why(
    testbed: PipelinesTestbed, pods: PodReader, tmp_path: Path, name: str
) -> None:
    runtime, accelerators, reason = WAITING[name]
    run = submit(testbed, pods, pipeline_file(tmp_path, accelerators), runtime)
    assert reason in wait_for_reason(testbed, run, lambda run: run.waiting_reason)
    (waiting_run,) = testbed.backend.runs(run.name)
    assert waiting_run.waiting_step == "work"
    testbed.backend.cancel(run)


def test_a_missing_key_of_a_secret_is_named(testbed: PipelinesTestbed, pods: PodReader, tmp_path: Path) -> None:
    runtime = Runtime(image=IMAGE, secrets=(SecretEnv(testbed.secret, {"MISSING_KEY": "A"}),))
    run = submit(testbed, pods, pipeline_file(tmp_path), runtime)
    assert "couldn't find key MISSING_KEY" in wait_for_reason(testbed, run, lambda run: run.waiting_reason)
    testbed.backend.cancel(run)


def test_a_quota_is_told(testbed: PipelinesTestbed, pods: PodReader, tmp_path: Path, quota: None) -> None:
    run = submit(testbed, pods, pipeline_file(tmp_path, accelerators=1), Runtime(image=IMAGE))
    text = wait_for_reason(testbed, run, lambda run: run.waiting_reason or run.message)
    assert f"exceeded quota: {QUOTA}" in text
    testbed.backend.cancel(run)


def test_a_step_that_needs_more_memory_than_its_limit_says_so(
    testbed: PipelinesTestbed, pods: PodReader, tmp_path: Path
) -> None:
    run = submit(testbed, pods, pipeline_file(tmp_path, memory="200M"), Runtime(image=IMAGE), megabytes=600)
    message = wait_for_reason(testbed, run, lambda run: run.message)
    assert message.startswith("work: out of memory (OOMKilled)"), message
    assert "200M" in message


def test_the_sentence_of_a_failed_step_comes_back_by_the_registry(testbed: PipelinesTestbed) -> None:
    from anamnesis.pipelines.training.continual_update import compiled_pipeline

    name, registry = f"sentence-{testbed.secret}", f"{testbed.bucket}/registry"
    request = json.dumps({"registry": registry, "author": AUTHOR, "run": name, "model": "chest", "site": {}})
    run = testbed.backend.submit(
        PipelineJob(name, compiled_pipeline("finetune"), {"request": request, "model": "lung"})
    )
    ended_run = testbed.wait_for_end(run)
    failure = read_step_failure(open_store(registry, testbed.environment), AUTHOR, name)
    assert failure
    assert (failure.step, failure.exit_code) == ("ingest_site", 2)
    assert "pipeline parameter model: expected 'chest'" in failure.message
    assert "ingest" in ended_run.message
