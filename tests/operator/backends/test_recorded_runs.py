"""Runs as real servers reported them: responses recorded from Kubeflow Pipelines, with what the operator reads of them.

Each is a run of the pipeline ``ingest``, then, under a condition, ``train`` and ``after``. A person ended one in
Kubeflow's page while ``train`` ran, and one while the pod of ``ingest`` waited for an image that does not exist.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from kfp_server_api import ApiClient

from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.backends.kubeflow_run_parser import parse_run
from anamnesis.operator.backends.kubeflow_workflow import WorkflowFacts, parse_workflow

RECORDED = Path(__file__).parent / "recorded"
RELEASES = sorted(folder.name for folder in RECORDED.iterdir())


class _RecordedResponse:
    def __init__(self, data: str) -> None:
        self.data = data


def recorded_run(release: str, name: str) -> Run:
    """A recorded run, read by Kubeflow's own client and then by ours."""
    text = (RECORDED / release / f"{name}.json").read_text(encoding="utf-8")
    return parse_run(ApiClient().deserialize(_RecordedResponse(text), "V2beta1Run"))


def recorded_facts(release: str, name: str) -> WorkflowFacts:
    manifest = (RECORDED / release / f"{name}.workflow.json").read_text(encoding="utf-8")
    response: dict[str, Any] = {"pipeline_runtime": {"workflow_manifest": manifest}}
    return parse_workflow(json.loads(json.dumps(response)))


@pytest.mark.parametrize("release", RELEASES)
def test_the_innermost_failed_step_is_named_first(release: str) -> None:
    run = recorded_run(release, "step_refused")
    assert (run.state, run.message) == (RunState.FAILED, "failed steps: train, condition-1")
    assert recorded_facts(release, "step_refused") == WorkflowFacts()


@pytest.mark.parametrize("release", RELEASES)
def test_a_run_that_a_person_ended_is_known_by_its_history_or_its_workflow(release: str) -> None:
    """The history has it only where the server saw that in time, here once; the Workflow always."""
    for name in ("person_ended_step", "person_ended_waiting"):
        run, is_in_history = recorded_run(release, name), (release, name) == ("2.0.5", "person_ended_step")
        assert run.state is (RunState.CANCELLED if is_in_history else RunState.FAILED)
        assert bool(run.cancelling_since) is is_in_history
        assert recorded_facts(release, name).is_terminated


@pytest.mark.parametrize("release", RELEASES)
def test_a_run_whose_workflow_is_gone_is_being_cancelled_since_nobody_knows_when(release: str) -> None:
    run = recorded_run(release, "workflow_gone")
    assert (run.state, run.cancelling_since) == (RunState.CANCELLING, None)


@pytest.mark.parametrize("release", RELEASES)
def test_a_step_that_waits_for_its_image_is_named_with_the_reason(release: str) -> None:
    run = recorded_run(release, "waiting")
    assert (run.state, run.waiting_step) == (RunState.RUNNING, "ingest")
    assert run.waiting_since
    assert run.waiting_since > run.created_at, "the time of the pod, not of the run"
    reason = recorded_facts(release, "waiting").waiting_reason
    assert "nowhere.invalid/missing:1" in reason
    assert len(reason) <= 300
