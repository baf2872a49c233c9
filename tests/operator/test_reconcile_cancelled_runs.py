"""Runs that somebody ends, that never end, that wait for their pod, or that a corrected spec replaces."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork

from anamnesis.operator.api import Site
from anamnesis.operator.api.condition_types import DECIDED, STALLED
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan.run_judgement import CANCEL_GRACE

EVALUATED = {"evaluation": {"schedule": {"cron": "0 0 * * *"}}}


def decided(update: ModelUpdate) -> Condition:
    condition = update.status.condition(DECIDED)
    assert condition
    return condition


def stalled(hospital: FakeHospital) -> Condition:
    condition = hospital.model.status.condition(STALLED)
    assert condition
    return condition


def change_run(hospital: FakeHospital, **changes: object) -> str:
    """Changes the one live run on its back end; returns its name."""
    (name,) = hospital.backend.live_runs
    hospital.backend.runs_by_name[name] = replace(hospital.backend.runs_by_name[name], **changes)  # type: ignore[arg-type]
    return name


def epochs(update: ModelUpdate) -> int:
    return update.spec.request.configuration.training.epochs


def wait(hospital: FakeHospital, time: timedelta) -> None:
    """Lets time pass, and the operator see it."""
    hospital.network.now += time
    hospital.reconcile()


@pytest.fixture
def running(network: HospitalNetwork, hospital: FakeHospital) -> FakeHospital:
    """The run of the north has begun."""
    network.add_data("north", "a")
    hospital.reconcile()
    return hospital


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.FAILED])
def test_a_deadline_is_told_whatever_the_back_end_calls_the_end(running: FakeHospital, state: RunState) -> None:
    name = change_run(running)
    running.backend.lost_runs.add(name)
    wait(running, timedelta(days=1))
    assert "it took longer than spec.backend.runDeadline, and counts as failed" in decided(running.updates[0]).message
    running.backend.end_run(name, state, "failed steps: train")
    running.reconcile()
    deadline = "it took longer than spec.backend.runDeadline (1d); the next run starts at"
    assert deadline in decided(running.updates[0]).message
    running.edit_model(backend=running.model.spec.backend.model_copy(update={"run_deadline": "9d"}))
    wait(running, timedelta(minutes=1))
    assert len(running.backend.submitted) == 2, "a longer deadline makes no person's cancel of it"


@pytest.mark.parametrize("is_overdue", [True, False])
def test_a_run_whose_workflow_is_gone_fails_after_minutes(running: FakeHospital, is_overdue: bool) -> None:
    name = change_run(running)
    running.backend.lost_runs.add(name)
    if is_overdue:
        wait(running, timedelta(days=1))
    else:  # a person ends it
        running.backend.cancel(running.backend.runs_by_name[name])
        running.reconcile()
    assert running.states()["north"] == "Updating"
    running.start_operator()
    wait(running, CANCEL_GRACE - timedelta(seconds=1))
    assert len(running.backend.submitted) == 1
    wait(running, timedelta(seconds=1))
    update = running.updates[0]
    assert update.status.run
    assert (update.status.run.state, decided(update).reason) == ("Failed", "Retrying")
    assert "the back end has not reported its end since" in decided(update).message
    wait(running, timedelta(minutes=1))
    running.finish_runs()
    running.finish_runs()
    running.reconcile()
    assert running.states()["north"] == "Learned"


def test_lost_runs_do_not_hold_up_the_other_site(running: FakeHospital) -> None:
    running.network.add_data("south", "b")
    for _ in range(3):
        name = running.backend.submitted[-1]
        running.backend.lost_runs.add(name)
        running.backend.cancel(running.backend.runs_by_name[name])
        for time in (timedelta(0), CANCEL_GRACE, timedelta(hours=1)):
            wait(running, time)
    assert running.states()["north"] == "Failed"
    assert running.states()["south"] == "Updating"


def test_an_evaluation_whose_workflow_is_gone_fails_and_starts_again(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, EVALUATED)
    network.add_data("north", "a")
    hospital.run_update()
    wait(hospital, timedelta(hours=13))
    name = change_run(hospital)
    hospital.backend.lost_runs.add(name)
    hospital.edit_model(backend=hospital.model.spec.backend.model_copy(update={"run_deadline": "1h"}))
    wait(hospital, timedelta(hours=1))
    hospital.start_operator()
    wait(hospital, CANCEL_GRACE)
    assert "it took longer than spec.backend.runDeadline (1h), and the back end has not" in stalled(hospital).message
    wait(hospital, timedelta(minutes=1))
    assert hospital.model.status.evaluation.run == f"{name[:-1]}2"
    hospital.backend.finish_run(f"{name[:-1]}2")
    hospital.reconcile()
    assert stalled(hospital).status == "False"
    assert hospital.model.status.evaluation.run == ""


def test_an_evaluation_that_a_person_cancelled_waits_for_its_next_time(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, EVALUATED)
    network.add_data("north", "a")
    hospital.run_update()
    wait(hospital, timedelta(hours=13))
    hospital.backend.end_run(change_run(hospital), RunState.CANCELLED)
    wait(hospital, timedelta(hours=1))
    assert hospital.backend.live_runs == []
    assert "of the scheduled evaluation; the next evaluation is due at 2026-11-22 00:00" in stalled(hospital).message
    wait(hospital, timedelta(hours=23))
    assert len(hospital.backend.live_runs) == 1


def test_a_person_who_cancels_a_run_is_not_overruled_by_a_later_image(running: FakeHospital) -> None:
    name = change_run(running)
    running.backend.end_run(name, RunState.CANCELLED)
    running.reconcile()
    running.backend.outdated_runs.add(name)
    wait(running, timedelta(hours=2))
    assert decided(running.updates[0]).reason == "RunCancelled"
    assert len(running.backend.submitted) == 1


def test_a_corrected_image_replaces_a_run_that_has_not_started(running: FakeHospital) -> None:
    for attempt in range(1, 5):
        name = change_run(running, waiting_step="train", waiting_since=running.network.now)
        assert name.endswith(f"-{attempt}")
        running.backend.outdated_runs.add(name)
        running.reconcile()
    running.run_update()
    assert running.states()["north"] == "Learned"
    assert len(running.backend.submitted) == 5, "none of them counts as a failure"


def test_a_step_that_runs_is_not_ended_for_an_image(running: FakeHospital) -> None:
    running.backend.outdated_runs.add(change_run(running))
    wait(running, timedelta(hours=1))
    assert len(running.backend.live_runs) == 1


def test_a_known_fault_of_a_pod_is_told_within_a_minute(running: FakeHospital) -> None:
    reason = "ErrImagePull: nowhere/missing:1 not found"
    change_run(running, waiting_step="train", waiting_since=running.network.now, waiting_reason=reason)
    wait(running, timedelta(seconds=29))
    assert running.states()["north"] == "Updating"
    wait(running, timedelta(seconds=1))
    assert running.states()["north"] == "StepNotStarted"
    assert f"step train has waited for its pod since 2026-11-20 12:00 UTC ({reason}); to" in stalled(running).message


def test_a_spec_that_was_put_right_reaches_an_update_that_is_tried_again(running: FakeHospital) -> None:
    running.backend.end_run(change_run(running), RunState.FAILED, "failed steps: train")
    running.reconcile()
    training = running.model.spec.training.model_copy(update={"epochs": 1})
    running.edit_model(training=training)
    running.reconcile()
    new_update, old_update = sorted(running.updates, key=epochs)
    assert decided(old_update).reason == "Superseded"
    assert epochs(new_update) == 1
    running.run_update()
    assert running.states()["north"] == "Learned"


def test_a_site_that_was_put_right_reaches_an_update_that_is_tried_again(running: FakeHospital) -> None:
    running.backend.end_run(change_run(running), RunState.FAILED, "failed steps: ingest-site")
    running.reconcile()
    site = running.cluster.get(Site, SPACE, "north")
    assert site
    running.cluster.edit(site.model_copy(update={"spec": site.spec.model_copy(update={"maximum_studies": 7})}))
    wait(running, timedelta(seconds=1))
    (update,) = running.updates
    assert update.spec.request.site.maximum_studies == 7
    running.run_update()
    assert running.states()["north"] == "Learned"
    assert [name[-2:] for name in running.backend.submitted] == ["-1", "-2"]


def test_a_run_that_refused_its_input_is_not_repeated(running: FakeHospital) -> None:
    change_run(running, is_permanent=True)
    running.backend.end_run(change_run(running), RunState.FAILED, "train: the split key differs")
    wait(running, timedelta(hours=2))
    assert len(running.backend.submitted) == 1
    assert decided(running.updates[0]).reason == "RunFailed"
    assert "another run would fail as well: train: the split key differs; fix" in stalled(running).message


@pytest.mark.parametrize("step", ["train", ""])
def test_a_step_that_does_not_start_is_told_after_the_start_deadline(running: FakeHospital, step: str) -> None:
    name = change_run(
        running, waiting_step=step, waiting_since=running.network.now, waiting_reason="SchedulingGated: a queue"
    )
    wait(running, timedelta(minutes=9))
    assert running.states()["north"] == "Updating"
    assert (
        "has waited for its pod since 2026-11-20 12:00 UTC (SchedulingGated: a queue)"
        in decided(running.updates[0]).message
    )
    wait(running, timedelta(minutes=1))
    assert running.states()["north"] == "StepNotStarted"
    condition = stalled(running)
    assert (condition.status, condition.reason) == ("True", "StepNotStarted")
    assert f"run {name}: {'step train' if step else 'its first step'} has waited" in condition.message
    assert "longer than spec.backend.startDeadline (10m)" in condition.message
    assert f"kubectl describe pods,workflows.argoproj.io -A -l pipeline/runid={name}" in condition.message
    change_run(running, waiting_step="", waiting_since=None)
    running.run_update()
    assert running.states()["north"] == "Learned"
    assert stalled(running).status == "False"
