"""Faults while runs live on a cluster, which survive the operator: what is left is what an undisturbed life leaves."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from apiserver.end_state import EndState
from apiserver.hospital_namespace import HospitalNamespace
from apiserver.operators import FreezableProxy
from apiserver.pipeline_pods import FakePipelinePods
from builders.api_server import ApiServer
from builders.s3_server import S3Server
from builders.waiting import eventually
from fakes.pipelines_server import PipelinesServer

from anamnesis.operator.api.condition_types import BACKEND_REACHABLE, READY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

DOWN = "False Unreachable"


@pytest.fixture(scope="module")
def expected_end_state(
    cluster: ApiServer,
    make_namespace: Callable[[], str],
    s3_environment: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> EndState:
    """What is left where nothing goes wrong: one update of each site, both promoted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with PipelinesServer() as server:
        pods = FakePipelinePods(server, s3_environment)
        hospital = HospitalNamespace(cluster, make_namespace(), s3_environment, folder)
        try:
            start_update(hospital, pods)
            finish_update(hospital, pods, "north")
            hospital.upload_images("south")
            finish_update(hospital, pods, "south")
            return hospital.end_state()
        finally:
            hospital.stop_operators()


@pytest.fixture
def pods(s3_environment: Mapping[str, str]) -> Iterator[FakePipelinePods]:
    with PipelinesServer() as server:
        yield FakePipelinePods(server, s3_environment)


def start_update(hospital: HospitalNamespace, pods: FakePipelinePods) -> None:
    """An update of one site is about to run."""
    hospital.apply(changes=pods.spec_changes)
    hospital.start_operator()
    hospital.upload_images("north")


def finish_update(hospital: HospitalNamespace, pods: FakePipelinePods, site: str) -> None:
    eventually(lambda: bool(pods.live_runs()))
    pods.finish_runs()
    hospital.wait_for_states(**{site: "Learned"})


def test_pipelines_are_gone_before_the_run_begins(
    hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState
) -> None:
    pods.server.stop()
    start_update(hospital, pods)
    eventually(lambda: hospital.condition(BACKEND_REACHABLE) == DOWN)
    pods.server.start()
    finish_update(hospital, pods, "north")
    assert_end_state(hospital, pods, expected_end_state.first_updates(1))


def test_pipelines_are_gone_while_the_pods_go_on(
    hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState
) -> None:
    start_update(hospital, pods)
    eventually(lambda: bool(pods.live_runs()))
    pods.server.stop()
    pods.finish_runs()
    eventually(lambda: hospital.condition(BACKEND_REACHABLE) == DOWN)
    pods.server.start()
    hospital.wait_for_states(north="Learned")
    assert_end_state(hospital, pods, expected_end_state.first_updates(1))


def test_a_lost_reply_to_a_run_request_starts_no_second_run(
    hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState
) -> None:
    pods.server.faults.lose = "POST /runs"
    start_update(hospital, pods)
    finish_update(hospital, pods, "north")
    assert pods.server.faults.lose == ""
    assert_end_state(hospital, pods, expected_end_state.first_updates(1))


def test_the_bucket_is_gone_while_a_run_lives(
    cluster: ApiServer, namespace: str, s3_server_binary: str, tmp_path: Path, expected_end_state: EndState
) -> None:
    with S3Server(s3_server_binary, tmp_path) as bucket, PipelinesServer() as server:
        pods, hospital = (
            FakePipelinePods(server, bucket.environment),
            HospitalNamespace(cluster, namespace, bucket.environment, tmp_path),
        )
        try:
            start_update(hospital, pods)
            eventually(lambda: bool(pods.live_runs()))
            bucket.stop()
            eventually(lambda: hospital.condition(READY) == "False RegistryUnreachable")
            eventually(lambda: hospital.condition(READY, "sites", "north") == DOWN)
            bucket.start()
            finish_update(hospital, pods, "north")
            assert hospital.condition(READY) == "True ChampionInUse"
            eventually(lambda: hospital.condition(READY, "sites", "north") == "True Readable")
            assert_end_state(hospital, pods, expected_end_state.first_updates(1))
        finally:
            hospital.stop_operators()


def test_an_update_is_deleted_and_then_a_site(
    hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState
) -> None:
    """The update is created again and adopts its run; the run of a deleted site ends."""
    start_update(hospital, pods)
    eventually(lambda: bool(pods.live_runs()))
    hospital.kubectl("delete", "modelupdates", "--all")
    eventually(lambda: len(hospital.updates()) == 1)  # a run that ends before is decided without a ModelUpdate
    finish_update(hospital, pods, "north")
    hospital.upload_images("south")
    eventually(lambda: bool(pods.live_runs()))
    hospital.kubectl("delete", "site", "south")
    pods.finish_runs()
    hospital.wait_for_states(south="Unreadable")
    eventually(lambda: hospital.decided_states() == ["Promoted", "Promoted"])
    hospital.apply(changes=pods.spec_changes)
    hospital.wait_for_states(north="Learned", south="Learned")
    assert_end_state(hospital, pods, expected_end_state)


def test_a_secret_vanishes(hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState) -> None:
    start_update(hospital, pods)
    eventually(lambda: bool(pods.live_runs()))
    hospital.kubectl("delete", "secret", "bucket")
    eventually(lambda: hospital.condition(READY) == "False SecretMissing")
    eventually(lambda: hospital.condition(READY, "sites", "north") == "False SecretMissing")
    pods.finish_runs()
    hospital.apply(changes=pods.spec_changes)
    hospital.wait_for_states(north="Learned")
    assert hospital.condition(READY) == "True ChampionInUse"
    assert hospital.condition(READY, "sites", "north") == "True Readable"
    assert_end_state(hospital, pods, expected_end_state.first_updates(1))


def test_watches_that_fall_silent(
    hospital: HospitalNamespace, pods: FakePipelinePods, expected_end_state: EndState
) -> None:
    proxy = FreezableProxy(hospital.cluster.url)
    try:
        hospital.apply(changes=pods.spec_changes)
        hospital.start_operator(server=proxy.url, flags=("--lease-duration=60", "--watch-silence=2", "--resync=3"))
        hospital.wait_for_states(30, north="WaitingForData", south="WaitingForData")
        proxy.freeze()
        hospital.upload_images("north")
        finish_update(hospital, pods, "north")
    finally:
        proxy.close()
    assert_end_state(hospital, pods, expected_end_state.first_updates(1))


def assert_end_state(hospital: HospitalNamespace, pods: FakePipelinePods, expected: EndState) -> None:
    """Nothing was lost, nothing was done twice."""
    assert hospital.end_state() == expected
    assert hospital.decided_states() == ["Promoted"] * len(expected.promoted)
    assert len(pods.server.runs) == len(expected.promoted)
