"""One story of a hospital, told in order: installed, learned, approved, upgraded, taken away and installed again."""


import pytest
from images.pods import kubectl
from kubeflow.house import HOME, House, model, site
from kubeflow.installing import RELEASE
from toys.waiting import eventually

from anamnesis.operator.backends.base import RunState

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def test_the_release_is_ready(house: House) -> None:
    assert len(house.operators()) == 2
    eventually(lambda: house.leader() in house.operators())
    house.helm.test(RELEASE, timeout=60)
    assert "restricted" in kubectl("get", "namespace", HOME, "--show-labels")


def test_an_update_outlives_the_leader_and_waits_for_a_person(house: House) -> None:
    house.apply(site("north"), site("east"), model("chest", ("north", "east")))
    house.wait("chest", north="WaitingForData", east="WaitingForData")
    house.drop("north")
    eventually(lambda: any("train" in step for run in house.runs("chest") for step in house.steps(run)), 120)
    killed = house.leader()
    kubectl(f"--namespace={HOME}", "delete", "pod", killed, "--force", "--grace-period=0")
    house.wait("chest", north="AwaitingApproval")
    assert house.leader() != killed
    (run,) = house.runs("chest")
    eventually(lambda: house.runs("chest")[0].state is RunState.SUCCEEDED, 60)
    assert house.log("chest") == []
    steps = house.steps(run)
    wanted = {"ingest-site", "train-finetune", "evaluate-forgetting", "evaluate-saliency", "promote-model"}
    assert set(steps) == wanted
