"""Faults against real processes: whatever goes wrong on the way, what is left is what an undisturbed life leaves."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from apiserver.endstate import EndState
from apiserver.hospital import Hospital
from toys.apiserver import ApiServer
from toys.waiting import eventually

pytestmark = pytest.mark.slow

LONG = {"training": {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}}
"""Seconds of training, so that a fault finds it in the middle."""


def space(cluster: ApiServer) -> str:
    name = f"test-{secrets.token_hex(4)}"
    cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="module")
def undisturbed(
    cluster: ApiServer, s3_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> EndState:
    """What is left where nothing goes wrong: one update of each site, both promoted."""
    hospital = Hospital(cluster, space(cluster), s3_environment, tmp_path_factory.mktemp("undisturbed"))
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


def running(hospital: Hospital) -> bool:
    return hospital.decided()[-1:] == ["Running"]


def test_nothing(hospital: Hospital, undisturbed: EndState) -> None:
    hospital.apply(changes=LONG)
    hospital.operator()
    hospital.drop("north")
    eventually(lambda: running(hospital))
    hospital.wait(north="Learned")
    assert hospital.end_state() == undisturbed.first(1)
