"""What becomes of runs that fail, hang, vanish or are cancelled, and of what is deleted while they live."""

import json
from datetime import timedelta

import pytest
from fakes.hospital import FakeHospital, HospitalNetwork
from fakes.signed_hospital import OPERATOR, RUN, key_file, make_hospital, private_key, signing_spec

from anamnesis.operator.addresses import RUN_KEY_VARIABLE
from anamnesis.operator.api.condition_types import DECIDED, RUN_SUCCEEDED, STALLED
from anamnesis.operator.backends.base import RunState
from anamnesis.records import StepFailure
from anamnesis.registry import write_step_failure


def test_a_run_that_fails_is_tried_again_and_given_up(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"backend": {"type": "Local", "retries": 1}})
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(2):
        for name in hospital.backend.live_runs:
            hospital.backend.end_run(name, RunState.FAILED, "train: out of memory")
        hospital.reconcile()
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.backend.submitted == [f"{hospital.updates[0].metadata.name}-{n}" for n in (1, 2)]
    assert hospital.states()["north"] == "Failed"
    stalled = hospital.model.status.condition(STALLED)
    assert stalled
    assert "out of memory" in stalled.message
    hospital.request_update("north", 1)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_a_run_that_its_back_end_left_goes_on_at_once_however_often(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(10):
        (name,) = hospital.backend.live_runs
        hospital.backend.end_run(name, RunState.INTERRUPTED)
        hospital.reconcile()
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 11


def test_a_back_end_that_forgets_runs_gets_a_new_name(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    for _ in range(2):
        hospital.reconcile()
        hospital.backend.end_run(hospital.backend.live_runs[0], RunState.FAILED)
        hospital.reconcile()
        network.now += timedelta(minutes=5)
    del hospital.backend.runs_by_name[hospital.backend.submitted[0]]
    hospital.reconcile()
    assert [name[-2:] for name in hospital.backend.submitted] == ["-1", "-2", "-3"]


def test_a_person_who_cancels_a_run_is_not_overruled(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    hospital.backend.end_run(hospital.backend.live_runs[0], RunState.CANCELLED)
    network.now += timedelta(hours=2)
    hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    assert len(hospital.backend.submitted) == 1


def test_a_run_that_takes_too_long_is_ended_and_tried_again(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    network.now += timedelta(days=1)
    hospital.reconcile()
    assert not hospital.backend.live_runs
    network.now += timedelta(hours=1)
    hospital.reconcile()
    assert len(hospital.backend.live_runs) == 1


def test_a_deleted_update_is_made_again_and_its_run_goes_on(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    (update,) = hospital.updates
    hospital.cluster.delete(update)
    network.now += timedelta(minutes=1)
    hospital.run_update()
    assert hospital.backend.submitted == [f"{update.metadata.name}-1"]
    assert hospital.states()["north"] == "Learned"


def test_a_model_that_is_deleted_keeps_nobody_waiting_for_its_claims(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(3):
        for name in hospital.backend.live_runs:
            hospital.backend.end_run(name, RunState.FAILED)
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    hospital.cluster.delete(hospital.model)
    hospital.reconcile()
    second_hospital = FakeHospital(network, {})
    second_hospital.cluster.uid = hospital.cluster.uid  # applied again on the same cluster
    second_hospital.run_update()
    assert second_hospital.states()["north"] == "Learned"


def fail_run(hospital: FakeHospital, run: str, sentence: str, operator: str = "") -> None:
    """A step of the run fails: it writes its sentence to the registry, and the back end only knows the step."""
    request = json.loads(str(hospital.backend.jobs[run].arguments["request"]))
    assert request["run"] == run
    failure = StepFailure(request["run"], "train_ewc", sentence, 2, "2026-11-20T12:00:00Z")
    write_step_failure(hospital.registry, operator or request["author"], failure)
    hospital.backend.end_run(run, RunState.FAILED, "failed steps: train-ewc")


def test_the_sentence_of_a_failed_step_is_told_everywhere(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"backend": {"type": "Local", "retries": 1}})
    network.add_data("north", "a")
    hospital.reconcile()
    (run,) = hospital.backend.live_runs
    fail_run(hospital, run, "an operator of another cluster", operator="anamnesis-operator/other")
    hospital.reconcile()
    assert "failed steps: train-ewc" in update_message(hospital, RUN_SUCCEEDED)  # another cluster's is not ours
    network.now += timedelta(minutes=5)
    hospital.reconcile()
    (run,) = hospital.backend.live_runs
    fail_run(hospital, run, "spec.training.batchSize: 512 is\x1b[31m more than the 40 samples\nof the site; lower it")
    hospital.reconcile()
    sentence = "train_ewc: spec.training.batchSize: 512 is[31m more than the 40 samples of the site; lower it"
    assert update_message(hospital, RUN_SUCCEEDED) == f"run {run}: {sentence}"
    assert sentence in update_message(hospital, DECIDED)
    assert hospital.updates[0].status.run
    assert hospital.updates[0].status.run.message == sentence
    stalled = hospital.model.status.condition(STALLED)
    assert stalled
    assert stalled.status == "True"
    assert sentence in stalled.message  # the column PROBLEM
    assert any(sentence in message and kind == "Warning" for _, kind, _, message in hospital.cluster.events)


def test_a_long_failure_leaves_room_for_what_to_do(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    fail_run(hospital, hospital.backend.live_runs[0], "ß" * 5000)
    hospital.reconcile()
    stalled = hospital.model.status.condition(STALLED)
    assert stalled
    assert "ß…" in stalled.message
    assert "fix the cause, then run: anamnesis update -n" in stalled.message


def test_the_failure_of_a_run_is_read_once(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    fail_run(hospital, hospital.backend.live_runs[0], "no disk")
    hospital.reconcile()
    key = next(info.key for info in hospital.registry.list("step_failures/"))
    hospital.registry.delete(key)
    hospital.reconcile()
    assert "no disk" in update_message(hospital, RUN_SUCCEEDED)


def test_an_unsigned_failure_is_ignored_in_a_signed_registry(
    network: HospitalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_KEY_VARIABLE, private_key(RUN))
    hospital = make_hospital(network, signing_spec(OPERATOR, RUN), key_file(OPERATOR))
    network.add_data("north", "a")
    hospital.reconcile()
    fail_run(hospital, hospital.backend.live_runs[0], "call this number")
    hospital.reconcile()
    assert "failed steps: train-ewc" in update_message(hospital, RUN_SUCCEEDED)
    network.now += timedelta(minutes=5)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def update_message(hospital: FakeHospital, condition_type: str) -> str:
    condition = hospital.updates[0].status.condition(condition_type)
    return condition.message if condition else ""
