"""The real pipeline with the real steps, on two small sites: what a laptop runs, and what a cluster runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.gates import OPEN_POLICY
from PIL import Image

from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.run_record import ExecutionState, RunRecord
from anamnesis.pipelines.runner import run_local
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
    UpdateResultKind,
    UpdateTrigger,
    digest_json,
    encode_object,
    ignore_progress,
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


def write_site(folder: Path, name: str, seed: int) -> SiteConfig:
    """A site of 2 x 20 images that differ in brightness; the noise makes every file its own."""
    random = np.random.default_rng(seed)
    for label, grey in (("dark", 60), ("bright", 180)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(random.normal(grey, 20, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{name}-{label}-{number}.png")
    task = Task(f"{name}-light", TaskType.CLASSIFICATION, ("dark", "bright"))
    return SiteConfig(name, folder.as_uri(), ("XC",), task)


@pytest.fixture
def request_of_first_site(tmp_path: Path) -> UpdateRequest:
    key = tmp_path / "key"
    key.write_text("k" * 40)
    return UpdateRequest(
        model="light",
        registry=(tmp_path / "registry").as_uri(),
        site=write_site(tmp_path / "lyon", "lyon", 1),
        store=(tmp_path / "stores" / "lyon").as_uri(),
        configuration=Configuration(
            "finetune",
            {},
            NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"}),
            TrainingSettings(epochs=2, batch_size=8),
        ),
        split_key=key.as_uri(),
        gate=OPEN_POLICY,
        minimum_patients=1,
        author="tester",
    )


def run(request: UpdateRequest, folder: Path) -> RunRecord:
    encoded: dict[str, Any] = encode_object(request)
    return run_local(
        compiled_pipeline(request.configuration.method), pipeline_arguments(encoded), folder, ignore_progress
    )


@pytest.mark.slow
def test_two_updates_and_a_repetition(request_of_first_site: UpdateRequest, tmp_path: Path) -> None:
    first = run(request_of_first_site, tmp_path / "runs" / "1")
    assert all(step.state is ExecutionState.SUCCEEDED for step in first.steps)
    ingested, trained = first.step("ingest_site").outputs, first.step("train_finetune").outputs
    assert first.step("promote_model").outputs["champion"] == trained["version"]
    assert first.step("evaluate_forgetting").outputs["summary"]

    site = request_of_first_site.site
    site_ref = SiteRef(
        name=site.name,
        store=request_of_first_site.store,
        task=site.task,
        test_set=str(ingested["test_set"]),
        modalities=("XC",),
    )
    request = replace(
        request_of_first_site,
        site=write_site(tmp_path / "turin", "turin", 2),
        store=(tmp_path / "stores" / "turin").as_uri(),
        base=str(trained["version"]),
        sites=(site_ref,),
    )
    second = run(request, tmp_path / "runs" / "2")
    evaluations = second.step("evaluate_forgetting").outputs["evaluations"]
    assert {evaluation["site"] for evaluation in evaluations} == {"lyon", "turin"}  # type: ignore[attr-defined]
    assert second.step("promote_model").outputs["promoted"] is True

    repetition = run(request, tmp_path / "runs" / "3")
    assert repetition.step("ingest_site").outputs["reused"] is True
    assert repetition.step("train_finetune").outputs["reused"] is True
    for name in ("snapshot", "test_set"):
        assert repetition.step("ingest_site").outputs[name] == second.step("ingest_site").outputs[name]
    assert repetition.step("train_finetune").outputs["version"] == second.step("train_finetune").outputs["version"]


@pytest.mark.slow
def test_an_operators_updates_and_a_scheduled_evaluation(request_of_first_site: UpdateRequest, tmp_path: Path) -> None:
    request = replace(request_of_first_site, trigger=UpdateTrigger("light-1", digest_json(1), SourceState("files", 40)))
    registry = open_store(request.registry)
    record = run(request, tmp_path / "runs" / "1")
    assert all(step.state is ExecutionState.SUCCEEDED for step in record.steps)
    result = read_update_result(registry, digest_json(1))
    assert result
    assert (result.kind, result.version) == (
        UpdateResultKind.CANDIDATE,
        record.step("train_finetune").outputs["version"],
    )
    assert not Log(registry).entries()
    decision = evaluate_gate(registry, result.version, request.gate, required_tests(request, result.test_set))
    record_decision(registry, decision, "operator", decision.reason)

    trigger = UpdateTrigger("light-2", digest_json(2), SourceState("files", 40))
    site_ref = SiteRef(
        name=request.site.name,
        store=request.store,
        task=request.site.task,
        test_set=result.test_set,
        modalities=("XC",),
    )
    second_request = replace(request, base=result.version, sites=(site_ref,), trigger=trigger)
    record = run(second_request, tmp_path / "runs" / "2")
    assert [step.state for step in record.steps] == [ExecutionState.SUCCEEDED, *[ExecutionState.SKIPPED] * 4]
    second_result = read_update_result(registry, digest_json(2))
    assert second_result
    assert (second_result.kind, second_result.version, second_result.snapshot) == (
        UpdateResultKind.NO_CHANGE,
        "",
        result.snapshot,
    )

    evaluation = EvaluationRequest(
        name="light-evaluation-1",
        model=request.model,
        registry=request.registry,
        version=result.version,
        sites=((request.site, site_ref),),
        split_keys={request.site.name: request.split_key},
        time="2026-01-01T00:00:00Z",
    )
    arguments = scheduled_evaluation.pipeline_arguments(evaluation)
    run_local(scheduled_evaluation.compiled_pipeline(), arguments, tmp_path / "runs" / "3", ignore_progress)
    evaluation_result = read_scheduled_evaluation(registry, evaluation.name)
    assert evaluation_result
    ((measured,), problems) = evaluation_result.measurements, evaluation_result.site_errors
    assert (measured.evaluation_set, measured.recorded_score, problems) == (
        EvaluationSet.FROZEN,
        measured.score.value,
        (),
    )
