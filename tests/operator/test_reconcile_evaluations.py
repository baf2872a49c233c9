"""Scheduled evaluations."""

import json
from datetime import timedelta

from fakes.hospital import FakeHospital, HospitalNetwork, digest

from anamnesis.operator.api.condition_types import DRIFTING, FORGETTING, STALLED
from anamnesis.operator.backends.base import RunState
from anamnesis.records import StepFailure
from anamnesis.registry import write_step_failure


def test_scheduled_evaluation_tells_scores_drift_and_forgetting(network: HospitalNetwork) -> None:
    evaluation = {"schedule": {"cron": "0 * * * *"}}
    hospital = FakeHospital(network, {"evaluation": evaluation})
    network.add_data("north", "a")
    hospital.run_update()
    assert not hospital.model.status.is_true(DRIFTING)
    network.quality[digest("a")] = "0.3"
    network.now += timedelta(hours=1)
    hospital.run_update()
    assert [name for name in hospital.backend.submitted if "evaluation" in name] == [
        "chest-evaluation-20261120t130000z-1"
    ]
    status = hospital.model.status
    assert status.is_true(DRIFTING)
    assert status.is_true(FORGETTING)
    assert status.tasks[0].recent_score
    assert str(status.tasks[0].recent_score.value) == "0.3"
    assert status.evaluation.next_due_time == network.now.replace(hour=14)
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 2


def test_an_evaluation_is_due_until_it_has_a_result(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"evaluation": {"schedule": {"cron": "0 * * * *"}}})
    network.add_data("north", "a")
    hospital.run_update()
    assert hospital.model.status.evaluation.next_due_time == network.now.replace(hour=13)
    network.now += timedelta(hours=1, minutes=30)
    hospital.reconcile()
    assert hospital.model.status.evaluation.next_due_time == network.now.replace(hour=13, minute=0)
    hospital.run_update()
    assert hospital.model.status.evaluation.next_due_time == network.now.replace(hour=14, minute=0)


def test_the_sentence_of_a_failed_evaluation_is_told(network: HospitalNetwork) -> None:
    backend = {"type": "Local", "retries": 0}
    hospital = FakeHospital(network, {"evaluation": {"schedule": {"cron": "0 * * * *"}}, "backend": backend})
    network.add_data("north", "a")
    hospital.run_update()
    network.now += timedelta(hours=1)
    hospital.reconcile()
    (run,) = hospital.backend.live_runs
    request = json.loads(str(hospital.backend.jobs[run].arguments["request"]))
    failure = StepFailure(request["run"], "evaluate_scheduled", "no split key", 2, "2026-11-20T13:00:00Z")
    write_step_failure(hospital.registry, request["author"], failure)
    hospital.backend.end_run(run, RunState.FAILED, "failed steps: evaluate-scheduled")
    hospital.reconcile()
    stalled = hospital.model.status.condition(STALLED)
    assert stalled
    assert (stalled.status, stalled.reason) == ("True", "EvaluationFailed")
    assert "evaluate_scheduled: no split key" in stalled.message
