"""Runs as an operator asks for them, on Kubeflow Pipelines' real back end: they report, and end early for nothing."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from anamnesis.operator.backends.base import Job, RunState
from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import (
    Arrival,
    Configuration,
    NetworkSpec,
    Occasion,
    Outcome,
    OutcomeKind,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    Window,
    digest_json,
    encode_object,
)
from anamnesis.registry import Approval, GatePolicy, Log, judge, read_monitoring, read_outcome, settle
from anamnesis.storage import open_store
from anamnesis.updates import EvaluationRequest, UpdateRequest
from anamnesis.updates.required_tests import required_tests

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

TASK = Task("rows", TaskType.CLASSIFICATION, ("top", "middle", "bottom"), "Accuracy")


def request(lab: "Lab") -> UpdateRequest:
    training = TrainingSettings(epochs=1, batch_size=8)
    return UpdateRequest(
        model="chest",
        registry=f"{lab.bucket}/registry",
        site=SiteConfig("north", lab.bring("north", TASK.classes), ("OT",), TASK),
        store=f"{lab.bucket}/stores/north",
        configuration=Configuration("finetune", {}, NetworkSpec(size=(32, 32), width=8), training),
        split_key="env:ANAMNESIS_SPLIT_KEY",
        gate=GatePolicy(approval=Approval.AUTOMATIC),
    )


def carry_out(lab: "Lab", asked: UpdateRequest, name: str) -> tuple[Outcome, float]:
    """Runs an update under the occasion ``name``; returns what it found, and the seconds it took."""
    occasion = Occasion(name, digest_json(name), Arrival("etags", 1))
    arguments = pipeline_arguments(encode_object(replace(asked, occasion=occasion)))
    began = time.monotonic()
    ended = lab.ended(lab.backend.submit(Job(f"{name}-1", compiled_pipeline("finetune"), arguments)))
    assert ended.state is RunState.SUCCEEDED, ended.message
    found = read_outcome(open_store(asked.registry), occasion.claim)
    assert found
    return found, time.monotonic() - began


def test_a_candidate_then_nothing_new_then_a_scheduled_evaluation(lab: "Lab") -> None:
    asked = request(lab)
    registry = open_store(asked.registry)
    found, whole = carry_out(lab, asked, "chest-aaaaaaaaaa")
    assert (found.kind, bool(found.version), Log(registry).entries()) == (OutcomeKind.CANDIDATE, True, ())
    decision = judge(registry, found.version, asked.gate, required_tests(asked, found.test_set))
    assert settle(registry, decision, "operator", decision.reason)

    known = SiteRef("north", asked.store, TASK, found.test_set, "OT")
    second, short = carry_out(lab, replace(asked, base=found.version, sites=(known,)), "chest-bbbbbbbbbb")
    assert (second.kind, second.version, second.snapshot) == (OutcomeKind.NO_CHANGE, "", found.snapshot)
    assert short < whole  # no pod but that of the ingest

    name = "chest-evaluation-20260101T000000Z"
    sites, due = ((asked.site, known),), "2026-01-01T00:00:00Z"
    evaluation = EvaluationRequest(name, "chest", asked.registry, found.version, sites, asked.split_key, due)
    arguments = scheduled_evaluation.pipeline_arguments(evaluation)
    ended = lab.ended(lab.backend.submit(Job(f"{name}-1", scheduled_evaluation.compiled_pipeline(), arguments)))
    assert ended.state is RunState.SUCCEEDED, ended.message
    monitoring = read_monitoring(registry, name)
    assert monitoring
    assert [(one.site, one.window) for one in monitoring.measurements] == [("north", Window.FROZEN)]
    assert not monitoring.problems
