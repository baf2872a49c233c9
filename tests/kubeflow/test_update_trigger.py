"""Runs as an operator asks for them, on Kubeflow Pipelines' real back end: they report, and end early for nothing."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders.gates import OPEN_POLICY

from anamnesis.operator.backends.base import PipelineJob, RunState
from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import (
    Configuration,
    EvaluationSet,
    NetworkSettings,
    SiteConfig,
    SiteRef,
    SourceState,
    Task,
    TaskType,
    TrainingSettings,
    UpdateResult,
    UpdateResultKind,
    UpdateTrigger,
    digest_json,
    encode_object,
)
from anamnesis.registry import (
    Log,
    evaluate_gate,
    read_scheduled_evaluation,
    read_update_result,
    record_decision,
)
from anamnesis.storage import open_store
from anamnesis.updates import EvaluationRequest, UpdateRequest
from anamnesis.updates.required_tests import required_tests

if TYPE_CHECKING:
    from kubeflow.conftest import PipelinesTestbed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

TASK = Task("rows", TaskType.CLASSIFICATION, ("top", "middle", "bottom"), "Accuracy")


def make_request(testbed: "PipelinesTestbed") -> UpdateRequest:
    training = TrainingSettings(epochs=1, batch_size=8)
    return UpdateRequest(
        model="chest",
        registry=f"{testbed.bucket}/registry",
        site=SiteConfig("north", testbed.upload_site("north", TASK.classes), ("OT",), TASK),
        store=f"{testbed.bucket}/stores/north",
        configuration=Configuration(
            "finetune", {}, NetworkSettings(size=(32, 32), options={"width": 8, "norm": "group"}), training
        ),
        split_key="env:ANAMNESIS_SPLIT_KEY",
        gate=OPEN_POLICY,
        minimum_patients=1,
    )


def run_update(testbed: "PipelinesTestbed", request: UpdateRequest, name: str) -> tuple[UpdateResult, float]:
    """Runs an update with the trigger ``name``; returns its result and the seconds."""
    trigger = UpdateTrigger(name, digest_json(name), SourceState("etags", 1))
    arguments = pipeline_arguments(encode_object(replace(request, trigger=trigger)))
    began = time.monotonic()
    finished_run = testbed.wait_for_end(
        testbed.backend.submit(PipelineJob(f"{name}-1", compiled_pipeline("finetune"), arguments))
    )
    assert finished_run.state is RunState.SUCCEEDED, finished_run.message
    result = read_update_result(open_store(request.registry), trigger.claim)
    assert result
    return result, time.monotonic() - began


def test_a_candidate_then_nothing_new_then_a_scheduled_evaluation(testbed: "PipelinesTestbed") -> None:
    update_request = make_request(testbed)
    registry = open_store(update_request.registry)
    first_result, first_seconds = run_update(testbed, update_request, "chest-aaaaaaaaaa")
    assert (first_result.kind, bool(first_result.version), Log(registry).entries()) == (
        UpdateResultKind.CANDIDATE,
        True,
        (),
    )
    decision = evaluate_gate(
        registry, first_result.version, update_request.gate, required_tests(update_request, first_result.test_set)
    )
    assert record_decision(registry, decision, "operator", decision.reason)

    site_ref = SiteRef(
        name="north",
        store=update_request.store,
        task=TASK,
        test_set=first_result.test_set,
        modalities=("OT",),
    )
    second_result, second_seconds = run_update(
        testbed, replace(update_request, base=first_result.version, sites=(site_ref,)), "chest-bbbbbbbbbb"
    )
    assert (second_result.kind, second_result.version, second_result.snapshot) == (
        UpdateResultKind.NO_CHANGE,
        "",
        first_result.snapshot,
    )
    assert second_seconds < first_seconds  # no pod but that of the ingest

    name = "chest-evaluation-20260101T000000Z"
    sites, due_time = ((update_request.site, site_ref),), "2026-01-01T00:00:00Z"
    evaluation = EvaluationRequest(
        name=name,
        model="chest",
        registry=update_request.registry,
        version=first_result.version,
        sites=sites,
        split_keys={site_ref.name: update_request.split_key},
        time=due_time,
    )
    arguments = scheduled_evaluation.pipeline_arguments(evaluation)
    finished_run = testbed.wait_for_end(
        testbed.backend.submit(PipelineJob(f"{name}-1", scheduled_evaluation.compiled_pipeline(), arguments))
    )
    assert finished_run.state is RunState.SUCCEEDED, finished_run.message
    evaluation_result = read_scheduled_evaluation(registry, name)
    assert evaluation_result
    assert [(measurement.site, measurement.evaluation_set) for measurement in evaluation_result.measurements] == [
        ("north", EvaluationSet.FROZEN)
    ]
    assert not evaluation_result.site_errors
