"""Faults around real training: whatever goes wrong on the way, what is left is what an undisturbed life leaves."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from apiserver.endstate import EndState
from apiserver.hospital import Hospital, Process
from toys.apiserver import ApiServer
from toys.s3_server import S3Server
from toys.waiting import eventually

pytestmark = pytest.mark.slow

LONG = {"training": {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}}
"""Seconds of training, so that a fault finds it in the middle."""
KILLS, SEED = 10, 20261120


@pytest.fixture(scope="module")
def undisturbed(
    cluster: ApiServer,
    make_namespace: Callable[[], str],
    s3_environment: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> EndState:
    """What is left where nothing goes wrong: one update of each site, both promoted."""
    hospital = Hospital(cluster, make_namespace(), s3_environment, tmp_path_factory.mktemp("undisturbed"))
    try:
        hospital.apply(changes=LONG)
        hospital.operator()
        for site in ("north", "south"):
            hospital.drop(site)
            hospital.wait(**{site: "Learned"})
        found = hospital.end_state()
    finally:
        hospital.end()
    assert (len(found.promoted), found.problems) == (2, ())
    return found


@pytest.fixture
def hospital(
    cluster: ApiServer, namespace: str, s3_environment: Mapping[str, str], tmp_path: Path
) -> Iterator[Hospital]:
    found = Hospital(cluster, namespace, s3_environment, tmp_path)
    yield found
    found.end()


def begin(hospital: Hospital, flags: tuple[str, ...] = ()) -> Process:
    """An update of one site is in the middle of its training."""
    hospital.apply(changes=LONG)
    operator = hospital.operator(flags=flags)
    hospital.drop("north")
    hospital.until_training()
    return operator


def test_the_api_server_is_killed_and_comes_back(hospital: Hospital, undisturbed: EndState) -> None:
    operator = begin(hospital, flags=("--lease-duration=60",))  # with a shorter one, its supervisor would start it anew
    try:
        hospital.cluster.kill()
    finally:
        hospital.cluster.start_server()
    hospital.wait(north="Learned")
    assert hospital.end_state() == undisturbed.first(1)
    assert (hospital.decided(), len(hospital.runs())) == (["Promoted"], 1)
    assert operator.popen.poll() is None


def test_the_leader_is_killed_ten_times(hospital: Hospital, undisturbed: EndState) -> None:
    """Local runs die with it; each goes on where it was."""
    chance = random.Random(SEED)
    hospital.apply(changes=LONG)
    replicas = [hospital.operator(name) for name in ("one", "two")]
    hospital.drop("north")
    for kill in range(KILLS):
        eventually(lambda: any(replica.leads() for replica in replicas))
        if kill == KILLS // 2:
            hospital.drop("south")
        time.sleep(chance.uniform(0, 5))  # at any moment of an update
        for leader in [replica for replica in replicas if replica.leads()]:
            leader.kill()
            leader.start()
    hospital.wait(120, north="Learned", south="Learned")
    assert hospital.end_state() == undisturbed
    assert hospital.decided() == ["Promoted", "Promoted"]


def test_the_bucket_is_gone_and_comes_back(
    cluster: ApiServer, namespace: str, s3_server_binary: str, tmp_path: Path, undisturbed: EndState
) -> None:
    with S3Server(s3_server_binary, tmp_path) as bucket:
        hospital = Hospital(cluster, namespace, bucket.environment, tmp_path)
        try:
            begin(hospital)
            bucket.stop()
            eventually(lambda: hospital.condition("Ready") == "False RegistryUnreachable")
            eventually(lambda: hospital.condition("Readable", "sites", "north") == "False Unreachable")
            bucket.start()
            hospital.wait(120, north="Learned")
            assert hospital.condition("Ready") == "True ChampionInUse"
            assert hospital.condition("Readable", "sites", "north") == "True Readable"
            assert hospital.end_state() == undisturbed.first(1)
            assert hospital.decided() == ["Promoted"]
        finally:
            hospital.end()


def test_a_model_is_deleted_in_the_middle_and_again_at_the_end(hospital: Hospital, undisturbed: EndState) -> None:
    """Its run ends with it; what it learned stays learned."""
    begin(hospital)
    make_again(hospital)
    hospital.wait(north="Learned")
    make_again(hospital)
    hospital.wait(north="Learned", south="WaitingForData")
    hospital.drop("south")
    hospital.wait(south="Learned")
    assert hospital.end_state() == undisturbed
    assert (hospital.decided(), len(hospital.runs())) == (["Promoted"], 3)


def make_again(hospital: Hospital) -> None:
    """Deletes the model, plays the garbage collector, which is not here, and applies the model again."""
    hospital.kubectl("delete", "continualmodel", "chest", "--timeout=30s")
    hospital.kubectl("delete", "modelupdates", "--all")
    hospital.apply(changes=LONG)
