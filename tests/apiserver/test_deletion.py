"""What a person deletes is gone: a namespace in any sequence of its parts, and a model with its run."""

from collections.abc import Iterator

import pytest
from apiserver.hospital_namespace import HospitalNamespace
from apiserver.pipeline_pods import FakePipelinePods
from builders.api_server import ApiServer
from builders.waiting import eventually
from conftest import missing
from fakes.pipelines_server import PipelinesServer


@pytest.fixture
def pods(hospital: HospitalNamespace) -> Iterator[FakePipelinePods]:
    """A model with a run that no operator has ended, and nothing else to do."""
    with PipelinesServer() as server:
        pods = FakePipelinePods(server, hospital.bucket)
        hospital.apply(changes=pods.spec_changes)
        yield pods


def running(pods: FakePipelinePods) -> list[str]:
    """The names of runs that nobody has asked to end."""
    with pods.server.lock:
        return [run["display_name"] for run in pods.server.runs.values() if run["state"] in ("PENDING", "RUNNING")]


def start_run(hospital: HospitalNamespace, pods: FakePipelinePods) -> None:
    hospital.start_operator()
    hospital.upload_images("north")
    eventually(lambda: len(running(pods)) == 1, 200)
    eventually(lambda: hospital.decided_states() == ["Running"], 60)


def test_a_deleted_model_takes_its_run_and_its_updates_along(
    hospital: HospitalNamespace, pods: FakePipelinePods
) -> None:
    start_run(hospital, pods)
    hospital.kubectl("delete", "continualmodel", "chest", "--timeout=10s")
    eventually(lambda: (running(pods), hospital.updates()) == ([], []), 60)


def test_a_model_that_is_deleted_without_an_operator_is_cleaned_up_by_the_next_one(
    hospital: HospitalNamespace, pods: FakePipelinePods
) -> None:
    start_run(hospital, pods)
    hospital.stop_operators()
    hospital.kubectl("delete", "continualmodel", "chest", "--timeout=10s")
    assert (len(running(pods)), len(hospital.updates())) == (1, 1)
    hospital.start_operator("two")
    eventually(lambda: (running(pods), hospital.updates()) == ([], []), 120)


@pytest.fixture
def namespace_controller(cluster: ApiServer) -> Iterator[None]:
    """Kubernetes' own controller that empties a namespace that is being deleted."""
    if not (cluster.binaries / "kube-controller-manager").exists():
        missing(f"no kube-controller-manager in {cluster.binaries}")
    cluster.start_controllers("namespace-controller")
    yield
    cluster.kill("kube-controller-manager")


@pytest.mark.slow
@pytest.mark.parametrize("is_operator_alive", [True, False])
def test_a_namespace_with_a_live_update_is_gone_even_where_the_role_goes_first(
    hospital: HospitalNamespace, pods: FakePipelinePods, namespace_controller: None, is_operator_alive: bool
) -> None:
    start_run(hospital, pods)
    if not is_operator_alive:
        hospital.stop_operators()
    hospital.kubectl("delete", "rolebinding,role", "--all")
    hospital.cluster.kubectl("delete", "namespace", hospital.namespace, "--timeout=60s")
    names = hospital.cluster.kubectl("get", "namespaces", "-o", "name").split()
    assert f"namespace/{hospital.namespace}" not in names
