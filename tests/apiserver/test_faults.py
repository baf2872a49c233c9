"""Faults around real training: whatever goes wrong on the way, what is left is what an undisturbed life leaves."""

import random
import time

import pytest
from apiserver.end_state import EndState
from apiserver.hospital_namespace import LONG_TRAINING, HospitalNamespace
from apiserver.operator_process import OperatorProcess
from builders.waiting import eventually

from anamnesis.pipelines.run_record import ExecutionState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

MOMENTS, SEED = ("", "train", "", "promote", "settle"), 20261120
"""When a leader is killed, for each site: at any moment, at a step of its run, or when its candidate is judged."""


def start_training(hospital: HospitalNamespace, flags: tuple[str, ...] = ()) -> OperatorProcess:
    """An update of one site is in the middle of its training."""
    hospital.apply(changes=LONG_TRAINING)
    operator = hospital.start_operator(flags=flags)
    hospital.upload_images("north")
    hospital.wait_until_training()
    return operator


def test_the_api_server_is_killed_and_comes_back(hospital: HospitalNamespace, expected_end_state: EndState) -> None:
    operator = start_training(
        hospital, flags=("--lease-duration=60",)
    )  # with a shorter one, its supervisor would start it again
    try:
        hospital.cluster.kill()
    finally:
        hospital.cluster.start_server()
    hospital.wait_for_states(north="Learned")
    assert hospital.end_state() == expected_end_state.first_updates(1)
    assert (hospital.decided_states(), len(hospital.runs())) == (["Promoted"], 1)
    assert operator.popen.poll() is None


def test_the_leader_is_killed_ten_times(hospital: HospitalNamespace, expected_end_state: EndState) -> None:
    """Local runs die with it; each goes on where it was."""
    random_source = random.Random(SEED)
    hospital.apply(changes=LONG_TRAINING)
    replicas = [hospital.start_operator(name) for name in ("one", "two")]
    for site in ("north", "south"):
        hospital.upload_images(site)
        for moment in MOMENTS:
            eventually(lambda: any(replica.is_leader() for replica in replicas))
            if moment:
                wait_until_moment(hospital, site, moment)
            time.sleep(random_source.uniform(0, 0.2 if moment else 2))
            for leader in [replica for replica in replicas if replica.is_leader()]:
                leader.kill()
                leader.start()
    hospital.wait_for_states(120, north="Learned", south="Learned")
    assert hospital.end_state() == expected_end_state
    assert hospital.decided_states() == ["Promoted", "Promoted"]


def wait_until_moment(hospital: HospitalNamespace, site: str, moment: str) -> None:
    """Waits until a run that was not yet there has come so far, or the site is learned."""
    before = len(hospital.runs())

    def reached() -> bool:
        runs = hospital.runs()[before:]
        begun_steps = [step.name for run in runs for step in run.steps if step.state is not ExecutionState.PENDING]
        finished_moments = ["settle" for run in runs if run.state is ExecutionState.SUCCEEDED]
        return (
            any(name.startswith(moment) for name in begun_steps + finished_moments)
            or hospital.states().get(site) == "Learned"
        )

    eventually(reached, 90)


def test_a_model_is_deleted_in_the_middle_and_again_at_the_end(
    hospital: HospitalNamespace, expected_end_state: EndState
) -> None:
    """Its run ends with it; what it learned stays learned."""
    start_training(hospital)
    recreate_model(hospital)
    hospital.wait_for_states(north="Learned")
    recreate_model(hospital)
    hospital.wait_for_states(north="Learned", south="WaitingForData")
    hospital.upload_images("south")
    hospital.wait_for_states(south="Learned")
    assert hospital.end_state() == expected_end_state
    assert (hospital.decided_states(), len(hospital.runs())) == (["Promoted"], 3)


def recreate_model(hospital: HospitalNamespace) -> None:
    """Deletes the model, and applies it again at once."""
    hospital.kubectl("delete", "continualmodel", "chest", "--timeout=30s")
    hospital.apply(changes=LONG_TRAINING)
