"""Faults while runs live on a cluster, which survive the operator: what is left is what an undisturbed life leaves."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from apiserver.endstate import EndState
from apiserver.hospital import Hospital
from apiserver.operators import Wire
from apiserver.pods import Pods
from toys.apiserver import ApiServer
from toys.pipelines_server import PipelinesServer
from toys.s3_server import S3Server
from toys.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

DOWN = "False Unreachable"


@pytest.fixture(scope="module")
def undisturbed(
    cluster: ApiServer,
    make_namespace: Callable[[], str],
    s3_environment: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> EndState:
    """What is left where nothing goes wrong: one update of each site, both promoted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with PipelinesServer() as server:
        pods = Pods(server, s3_environment)
        hospital = Hospital(cluster, make_namespace(), s3_environment, folder)
        try:
            begin(hospital, pods)
            learn(hospital, pods, "north")
            hospital.drop("south")
            learn(hospital, pods, "south")
            return hospital.end_state()
        finally:
            hospital.end()


@pytest.fixture
def pods(s3_environment: Mapping[str, str]) -> Iterator[Pods]:
    with PipelinesServer() as server:
        yield Pods(server, s3_environment)


def begin(hospital: Hospital, pods: Pods) -> None:
    """An update of one site is about to run."""
    hospital.apply(changes=pods.changes)
    hospital.operator()
    hospital.drop("north")


def learn(hospital: Hospital, pods: Pods, site: str) -> None:
    eventually(lambda: bool(pods.live()))
    pods.work()
    hospital.wait(**{site: "Learned"})


def test_pipelines_are_gone_before_the_run_begins(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    pods.server.stop()
    begin(hospital, pods)
    eventually(lambda: hospital.condition("BackendReachable") == DOWN)
    pods.server.start()
    learn(hospital, pods, "north")
    check(hospital, pods, undisturbed.first(1))


def test_pipelines_are_gone_while_the_pods_go_on(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    begin(hospital, pods)
    eventually(lambda: bool(pods.live()))
    pods.server.stop()
    pods.work()
    eventually(lambda: hospital.condition("BackendReachable") == DOWN)
    pods.server.start()
    hospital.wait(north="Learned")
    check(hospital, pods, undisturbed.first(1))


def test_the_word_that_a_run_began_is_lost(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    pods.server.knobs.lose = "POST /runs"
    begin(hospital, pods)
    learn(hospital, pods, "north")
    assert pods.server.knobs.lose == ""
    check(hospital, pods, undisturbed.first(1))


def test_the_bucket_is_gone_while_a_run_lives(
    cluster: ApiServer, namespace: str, s3_server_binary: str, tmp_path: Path, undisturbed: EndState
) -> None:
    with S3Server(s3_server_binary, tmp_path) as bucket, PipelinesServer() as server:
        pods, hospital = Pods(server, bucket.environment), Hospital(cluster, namespace, bucket.environment, tmp_path)
        try:
            begin(hospital, pods)
            eventually(lambda: bool(pods.live()))
            bucket.stop()
            eventually(lambda: hospital.condition("Ready") == "False RegistryUnreachable")
            eventually(lambda: hospital.condition("Readable", "sites", "north") == DOWN)
            bucket.start()
            learn(hospital, pods, "north")
            assert hospital.condition("Ready") == "True ChampionInUse"
            eventually(lambda: hospital.condition("Readable", "sites", "north") == "True Readable")
            check(hospital, pods, undisturbed.first(1))
        finally:
            hospital.end()


def test_an_update_is_deleted_and_then_a_site(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    """The update is made again and takes its run over; the run of a site that goes ends all the same."""
    begin(hospital, pods)
    eventually(lambda: bool(pods.live()))
    hospital.kubectl("delete", "modelupdates", "--all")
    learn(hospital, pods, "north")
    hospital.drop("south")
    eventually(lambda: bool(pods.live()))
    hospital.kubectl("delete", "site", "south")
    pods.work()
    hospital.wait(south="Unreadable")
    assert hospital.decided() == ["Promoted", "Promoted"]
    hospital.apply(changes=pods.changes)
    hospital.wait(north="Learned", south="Learned")
    check(hospital, pods, undisturbed)


def test_a_secret_vanishes(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    begin(hospital, pods)
    eventually(lambda: bool(pods.live()))
    hospital.kubectl("delete", "secret", "bucket")
    eventually(lambda: hospital.condition("Ready") == "False InvalidSpec")
    eventually(lambda: hospital.condition("Readable", "sites", "north") == "False SecretMissing")
    pods.work()
    hospital.apply(changes=pods.changes)
    hospital.wait(north="Learned")
    assert hospital.condition("Ready") == "True ChampionInUse"
    assert hospital.condition("Readable", "sites", "north") == "True Readable"
    check(hospital, pods, undisturbed.first(1))


def test_watches_that_fall_silent(hospital: Hospital, pods: Pods, undisturbed: EndState) -> None:
    wire = Wire(hospital.cluster.url)
    try:
        hospital.apply(changes=pods.changes)
        hospital.operator(server=wire.url, flags=("--lease-duration=60", "--watch-silence=2", "--resync=3"))
        hospital.wait(30, north="WaitingForData", south="WaitingForData")
        wire.freeze()
        hospital.drop("north")
        learn(hospital, pods, "north")
    finally:
        wire.close()
    check(hospital, pods, undisturbed.first(1))


def check(hospital: Hospital, pods: Pods, wanted: EndState) -> None:
    """Nothing was lost, nothing was done twice."""
    assert hospital.end_state() == wanted
    assert hospital.decided() == ["Promoted"] * len(wanted.promoted)
    assert len(pods.server.runs) == len(wanted.promoted)
