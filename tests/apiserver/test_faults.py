"""Faults around real training: whatever goes wrong on the way, what is left is what an undisturbed life leaves."""

import random
import time

import pytest
from apiserver.endstate import EndState
from apiserver.hospital import LONG, Hospital
from apiserver.process import Process
from toys.waiting import eventually

from anamnesis.pipelines.record import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

MOMENTS, SEED = ("", "train", "", "promote", "settle"), 20261120
"""When a leader is killed, for each site: at any moment, at a step of its run, or when its candidate is judged."""


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
    for site in ("north", "south"):
        hospital.drop(site)
        for moment in MOMENTS:
            eventually(lambda: any(replica.leads() for replica in replicas))
            if moment:
                until(hospital, site, moment)
            time.sleep(chance.uniform(0, 0.2 if moment else 2))
            for leader in [replica for replica in replicas if replica.leads()]:
                leader.kill()
                leader.start()
    hospital.wait(120, north="Learned", south="Learned")
    assert hospital.end_state() == undisturbed
    assert hospital.decided() == ["Promoted", "Promoted"]


def until(hospital: Hospital, site: str, moment: str) -> None:
    """Waits until a run that was not yet there has come so far, or the site is learned."""
    before = len(hospital.runs())

    def reached() -> bool:
        runs = hospital.runs()[before:]
        begun = [step.name for run in runs for step in run.steps if step.state is not State.PENDING]
        ended = ["settle" for run in runs if run.state is State.SUCCEEDED]
        return any(one.startswith(moment) for one in begun + ended) or hospital.states().get(site) == "Learned"

    eventually(reached, 90)


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
