"""The champion is evaluated every minute: new cases that it does badly on are told as drift, and nothing is learned."""

import time
from typing import Any

import pytest
from apiserver.hospital import LONG, Hospital, Life
from toys.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

EVALUATION = {"schedule": {"cron": "* * * * *"}}
NOT_YET = {"quietPeriod": "0s", "minimumNewPatients": 1000}


def test_new_cases_are_judged_before_they_are_learned(life: Life) -> None:
    hospital = life.hospital
    champion = hospital.status()["champion"]
    floor = {**EVALUATION, "recentFloor": "0.9"}
    hospital.apply(changes={**LONG, "trigger": NOT_YET, "evaluation": floor})
    hospital.drop("south", seed=1, name="recent", classes=("right", "left"))  # each band has the other one's name
    operator = hospital.operator("evaluating")
    try:
        eventually(lambda: "recent" in task(hospital, "south"), 100)
        recent = task(hospital, "south")["recent"]
        assert (recent["cases"], float(recent["value"]) < 0.5) == (24, True)
        assert float(recent["low"]) <= float(recent["value"]) <= float(recent["high"])
        assert hospital.states()["south"] == "WaitingForPatients"
        assert hospital.condition("Drifting") == "True RecentBelowFloor"
        assert hospital.condition("Forgetting") == "False WithinMargin"
        assert "recent" not in task(hospital, "north")
        shown = operator.get("/metrics")
        assert 'window="recent"' in shown
        hospital.apply(changes={**LONG, "trigger": NOT_YET, "evaluation": {**EVALUATION, "recentFloor": "0"}})
        eventually(lambda: hospital.condition("Drifting") == "False RecentWithinFloor")
        assert hospital.status()["champion"] == champion
        found = hospital.end_state()
        assert (found.decisions, found.versions, found.problems) == (life.end.decisions, life.end.versions, ())
    finally:
        operator.kill()


def test_an_update_begins_within_seconds_of_the_last_file(hospital: Hospital) -> None:
    hospital.apply(changes={"trigger": {"quietPeriod": "0s"}})
    hospital.operator()
    hospital.wait(30, north="WaitingForData", south="WaitingForData")
    hospital.drop("north")
    begin = time.monotonic()
    eventually(lambda: bool(hospital.updates()))
    took = time.monotonic() - begin
    print(f"from the put to the ModelUpdate: {took:.2f} s")
    assert took < 10


def task(hospital: Hospital, site: str) -> dict[str, Any]:
    found: dict[str, Any] = next((one for one in hospital.status().get("tasks", ()) if one["site"] == site), {})
    return found
