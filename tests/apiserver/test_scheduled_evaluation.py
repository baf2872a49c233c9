"""The champion is evaluated every minute: low scores on new cases are reported as drift, and nothing is learned."""

import time
from typing import Any

import pytest
from apiserver.hospital_namespace import LONG_TRAINING, HospitalNamespace, ReferenceRun
from builders.waiting import eventually

from anamnesis.operator.api.condition_types import DRIFTING, FORGETTING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a machine may have much else to do

EVALUATION = {"schedule": {"cron": "* * * * *"}}
NOT_YET = {"quietPeriod": "0s", "minimumNewPatients": 1000}


def test_new_cases_are_judged_before_they_are_learned(reference_run: ReferenceRun) -> None:
    hospital = reference_run.hospital
    champion = hospital.status()["champion"]
    floor = {**EVALUATION, "recentFloor": "0.9"}
    hospital.apply(changes={**LONG_TRAINING, "trigger": NOT_YET, "evaluation": floor})
    hospital.upload_images(
        "south", seed=1, name="recent", classes=("right", "left")
    )  # each band has the other one's name
    operator = hospital.start_operator("evaluating")
    try:
        eventually(lambda: "recentScore" in task(hospital, "south"), 100)
        recent = task(hospital, "south")["recentScore"]
        assert (recent["cases"], float(recent["value"]) < 0.5) == (24, True)
        assert float(recent["low"]) <= float(recent["value"]) <= float(recent["high"])
        assert hospital.states()["south"] == "WaitingForPatients"
        assert hospital.condition(DRIFTING) == "True RecentBelowFloor"
        assert hospital.condition(FORGETTING) == "False WithinMargin"
        assert "recentScore" not in task(hospital, "north")
        shown = operator.get("/metrics")
        assert 'evaluation_set="recent"' in shown
        hospital.apply(changes={**LONG_TRAINING, "trigger": NOT_YET, "evaluation": {**EVALUATION, "recentFloor": "0"}})
        eventually(lambda: hospital.condition(DRIFTING) == "False RecentWithinFloor")
        assert hospital.status()["champion"] == champion
        end_state = hospital.end_state()
        assert (end_state.decisions, end_state.versions, end_state.problems) == (
            reference_run.end_state.decisions,
            reference_run.end_state.versions,
            (),
        )
    finally:
        operator.kill()


def test_an_update_begins_within_seconds_of_the_last_file(hospital: HospitalNamespace) -> None:
    hospital.apply(changes={"trigger": {"quietPeriod": "0s", "minimumNewPatients": 0}})
    hospital.start_operator()
    hospital.wait_for_states(30, north="WaitingForData", south="WaitingForData")
    hospital.upload_images("north")
    begin = time.monotonic()
    eventually(lambda: bool(hospital.updates()))
    seconds = time.monotonic() - begin
    print(f"from the put to the ModelUpdate: {seconds:.2f} s")
    assert seconds < 10


def task(hospital: HospitalNamespace, site: str) -> dict[str, Any]:
    task_status: dict[str, Any] = next(
        (entry for entry in hospital.status().get("tasks", ()) if entry["site"] == site), {}
    )
    return task_status
