"""Why pods wait or fail, with the words of kubelet 1.36, the scheduler, Argo 3.7 and the API server's quota."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.backends.pod_reader import PodReader
from anamnesis.operator.backends.pod_reasons import NODE_NAME_ANNOTATION, describe_pod, describe_workflow, step_name
from anamnesis.operator.runtime.cluster import ClusterDownError
from anamnesis.records import RefusedError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
Json = dict[str, Any]


def pod(phase: str = "Pending", scheduled: bool = True, **status: Any) -> Json:
    return {
        "metadata": {
            "name": "chest-x-system-container-impl-1",
            "namespace": "kubeflow",
            "creationTimestamp": "2026-11-20T11:58:00Z",
            "annotations": {NODE_NAME_ANNOTATION: "continual-update-ewc-abcde.root.condition-1.train-ewc.executor"},
        },
        "spec": {
            "nodeName": "node" if scheduled else "",
            "containers": [{"name": "main", "resources": {"limits": {"memory": "2Gi"}}}],
        },
        "status": {"phase": phase, **status},
    }


def waiting(reason: str, message: str = "") -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "wait", "state": {}}, {"name": "main", "state": state}]}


def ended(reason: str, container: str = "main") -> Json:
    state = {"terminated": {"reason": reason, "exitCode": 137, "message": "SECRET=abc PATIENT"}}
    return {"phase": "Failed", "containerStatuses": [{"name": container, "state": state}]}


def unscheduled(reason: str, message: str) -> Json:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {"conditions": [condition], "scheduled": False}


CASES: Mapping[str, tuple[Json, tuple[str, ...]]] = {
    "image": (
        waiting("ErrImagePull", 'failed to pull and unpack image "registry/x:1": not found'),
        ("(ErrImagePull)", "registry/x:1", "spec.backend.kubeflow.image"),
    ),
    "image again": (waiting("ImagePullBackOff", 'Back-off pulling image "registry/x:1"'), ("registry/x:1",)),
    "secret": (
        waiting("CreateContainerConfigError", 'secret "chest-bucket" not found'),
        ('secret "chest-bucket" not found', "namespace of the runs"),
    ),
    "key": (
        waiting("CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret kubeflow/chest-bucket"),
        ("AWS_ACCESS_KEY_ID",),
    ),
    "other": (
        waiting("RunContainerError", "exec: SECRET=abc PATIENT"),
        ("(RunContainerError)", "kubectl describe pod -n kubeflow chest-x-system-container-impl-1"),
    ),
    "no node": (
        unscheduled("Unschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        ("no node takes its pod", "3 Insufficient nvidia.com/gpu", "nodeSelector"),
    ),
    "queue": (unscheduled("SchedulingGated", "Scheduling is blocked"), ("queue", "normal")),
    "memory": (ended("OOMKilled"), ("OOMKilled", "2Gi", "spec.backend.kubeflow.resources")),
    "evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        ("Evicted", "low on resource: memory"),
    ),
    "deadline": (
        {"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active longer than allowed"},
        ("DeadlineExceeded",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reason_names_what_to_change_and_no_value(name: str) -> None:
    fields, parts = CASES[name]
    reason = describe_pod(pod(**fields))
    assert reason
    assert reason.step == "train-ewc"
    assert all(part in reason.text for part in parts), reason.text
    assert not any(word in reason.text for word in ("SECRET", "PATIENT"))
    assert reason.is_failure == (fields.get("phase") == "Failed")


@pytest.mark.parametrize(
    "fields", [{"phase": "Running"}, {"phase": "Succeeded"}, waiting("ContainerCreating"), ended("Error"), {}]
)
def test_a_pod_that_is_well_or_whose_end_its_step_tells_has_no_reason(fields: Json) -> None:
    assert describe_pod(pod(**fields)) is None


@pytest.mark.parametrize(
    ("node", "step"),
    [
        ("wf.root.ingest-site.executor", "ingest-site"),
        ("wf.root.ingest-site-driver", "ingest-site"),
        ("wf.root.condition-1.train-ewc.executor", "train-ewc"),
        ("wf.root-driver", "root"),
        ("", "root"),
    ],
)
def test_the_step_of_a_pod(node: str, step: str) -> None:
    assert step_name(node) == step


def workflow(message: str, phase: str = "Pending") -> Json:
    node = {"type": "Pod", "name": "wf.root.train-ewc.executor", "phase": phase, "message": message}
    return {"status": {"nodes": {"wf-1": node, "wf": {"type": "DAG", "name": "wf", "phase": "Running"}}}}


QUOTA = 'pods "wf-impl-1" is forbidden: exceeded quota: team, requested: limits.memory=8Gi, used: 0, limited: 4Gi'
NO_LIMITS = 'pods "wf-impl-1" is forbidden: failed quota: team: must specify limits.cpu for: main'


def test_a_refused_pod_is_told() -> None:
    reason = describe_workflow(workflow(QUOTA))
    assert reason
    assert reason.step == "train-ewc"
    assert "exceeded quota: team, requested: limits.memory=8Gi" in reason.text
    assert not reason.is_failure
    failure = describe_workflow(workflow(NO_LIMITS, "Error"))
    assert failure
    assert failure.is_failure
    assert "must specify limits.cpu" in failure.text
    assert describe_workflow(workflow("main: Error (exit code 1): PATIENT")) is None


class Listings:
    """An API server with these pods, events and workflows, which counts requests."""

    def __init__(self, pods: list[Json], workflows: list[Json], events: list[Json], error: Exception | None = None):
        self.items = {"pods": pods, "workflows": workflows, "events": events}
        self.error, self.requests = error, 0

    def get(self, path: str, **query: str) -> Json:
        self.requests += 1
        if self.error:
            raise self.error
        assert query.get("labelSelector") == "pipeline/runid=id-1" or "involvedObject.name" in query["fieldSelector"]
        return {"items": self.items[path.rpartition("/")[2]]}


def explain(run: Run, api: Listings, times: int = 1) -> Run:
    reader = PodReader(api, "kubeflow", lambda: NOW)  # type: ignore[arg-type]
    for _ in range(times):
        (explained_run,) = reader.explain((run,))
    return explained_run


def live_run(**fields: Any) -> Run:
    return Run("id-1", "chest-one-1", RunState.RUNNING, NOW - timedelta(minutes=9), **fields)


def failed_run(message: str = "failed steps: train-ewc") -> Run:
    return Run("id-1", "chest-one-1", RunState.FAILED, NOW, message, finished_at=NOW)


def test_a_waiting_run_gets_step_time_and_reason() -> None:
    run = explain(live_run(), Listings([pod(**CASES["secret"][0])], [], []))
    assert (run.waiting_step, run.waiting_since) == ("train-ewc", NOW - timedelta(minutes=2))
    assert run.waiting_reason.startswith("the container cannot be configured")
    other = explain(live_run(waiting_step="evaluate-saliency"), Listings([pod(**CASES["secret"][0])], [], []))
    assert other.waiting_reason.startswith("train-ewc: the container cannot be configured")


def test_a_volume_without_its_secret_is_told_by_the_event_about_its_pod() -> None:
    event = {"reason": "FailedMount", "message": 'MountVolume.SetUp failed for volume "ca": secret "ca" not found'}
    run = explain(live_run(), Listings([pod(**waiting("ContainerCreating"))], [], [event]))
    assert 'secret "ca" not found' in run.waiting_reason


def test_a_refused_pod_of_a_waiting_run_is_told() -> None:
    assert "exceeded quota" in explain(live_run(), Listings([pod("Succeeded")], [workflow(QUOTA)], [])).waiting_reason


def test_the_reason_of_a_failed_run_is_read_once() -> None:
    api = Listings([pod(**CASES["memory"][0])], [], [])
    assert explain(failed_run(), api, times=3).message.startswith("train-ewc: out of memory (OOMKilled)")
    assert api.requests == 1


def test_a_run_of_yesterday_has_no_pods() -> None:
    api = Listings([], [], [])
    run = Run("id-1", "chest-one-1", RunState.FAILED, NOW - timedelta(days=3), "why", NOW - timedelta(days=2))
    assert explain(run, api) == run
    assert api.requests == 0


@pytest.mark.parametrize("error", [RefusedError("no right"), ClusterDownError("no answer")])
@pytest.mark.parametrize("run", [live_run(), failed_run()])
def test_without_the_right_nothing_breaks(run: Run, error: Exception) -> None:
    assert explain(run, Listings([], [], [], error)) == run
