"""How runs end on the real server without a result: no image, a deadline, a person, a Workflow that is gone.

The image of these models does not exist, so that the pod of the first step waits until something happens.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from builders.waiting import eventually
from kubeflow.conftest import IMAGE
from kubeflow.test_without_chart import CLASSES, Kubectl, Start, apply, start, status

from anamnesis.operator.backends.base import Run
from anamnesis.operator.plan.run_judgement import CANCEL_GRACE

if TYPE_CHECKING:
    from kubeflow.conftest import PipelinesTestbed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
__all__ = ["start"]
WaitingModel = tuple[str, Callable[[], tuple[Run, ...]]]
MISSING_IMAGE = "nowhere.invalid/missing:1"


@pytest.fixture
def waiting_model(testbed: "PipelinesTestbed", kubectl: Kubectl, start: Start) -> WaitingModel:
    """A model whose first run waits for its image, and what lists its runs."""
    model = apply(testbed, kubectl)
    set_backend(kubectl, model, image=MISSING_IMAGE, startDeadline="30s")
    start()
    testbed.upload_site("north", CLASSES)
    runs = testbed.run_lister(model)
    eventually(lambda: [run.waiting_step for run in runs()] == ["ingest-site"], 400)
    return model, runs


def set_backend(kubectl: Kubectl, model: str, image: str, **fields: object) -> None:
    backend = {"kubeflow": {"image": image}, **fields}
    kubectl("patch", "continualmodel", model, "--type=merge", f"--patch={json.dumps({'spec': {'backend': backend}})}")


def north(kubectl: Kubectl, model: str) -> tuple[str, str]:
    """State and message of the site."""
    sites = {site["name"]: site for site in status(kubectl, model).get("sites", ())}
    site = sites.get(f"{model}-north", {})
    return site.get("state", ""), site.get("message", "")


def test_a_missing_image_is_told_and_a_corrected_one_replaces_the_run(
    waiting_model: WaitingModel, kubectl: Kubectl
) -> None:
    model, runs = waiting_model
    eventually(lambda: north(kubectl, model)[0] == "StepNotStarted", 120)
    (run,) = runs()
    eventually(lambda: MISSING_IMAGE in north(kubectl, model)[1], 60)
    message = north(kubectl, model)[1]
    assert f"run {run.name}: step ingest-site has waited for its pod since" in message
    assert run.id in kubectl("get", "pods", "-A", "-l", f"pipeline/runid={run.id}", "--output=json")
    set_backend(kubectl, model, image=IMAGE)
    eventually(lambda: len(runs()) == 2, 120)
    assert "run 1 of 3 failed" not in north(kubectl, model)[1], "it does not count"


def test_a_run_that_a_person_terminates_is_not_tried_again(
    waiting_model: WaitingModel, kubectl: Kubectl, testbed: "PipelinesTestbed"
) -> None:
    model, runs = waiting_model
    testbed.backend.client.runs.run_service_terminate_run(runs()[0].id)  # as the page does
    eventually(lambda: north(kubectl, model)[0] == "Failed", 120)
    assert f"somebody cancelled run {runs()[0].name}" in north(kubectl, model)[1]
    with pytest.raises(AssertionError):
        eventually(lambda: len(runs()) > 1, 60)


def test_a_run_past_its_deadline_says_so(waiting_model: WaitingModel, kubectl: Kubectl) -> None:
    model, _ = waiting_model
    set_backend(kubectl, model, image=MISSING_IMAGE, runDeadline="1m", retries=0)
    eventually(lambda: north(kubectl, model)[0] == "Failed", 400)
    assert "it took longer than spec.backend.runDeadline (1m); read the log of run" in north(kubectl, model)[1]


def test_a_run_whose_workflow_is_deleted_is_tried_again(waiting_model: WaitingModel, kubectl: Kubectl) -> None:
    model, runs = waiting_model
    kubectl("delete", "workflows.argoproj.io", "-l", f"pipeline/runid={runs()[0].id}")
    set_backend(kubectl, model, image=MISSING_IMAGE, runDeadline="1m")
    seconds = CANCEL_GRACE.total_seconds() + 180
    eventually(lambda: "the back end has not reported its end since" in north(kubectl, model)[1], seconds)
    eventually(lambda: len(runs()) == 2, 120)
