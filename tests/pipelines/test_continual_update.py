"""The real pipeline with the real steps, on two small sites: what a laptop runs, and what a cluster runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anamnesis.pipelines.evaluation import scheduled_evaluation
from anamnesis.pipelines.record import RunRecord, State
from anamnesis.pipelines.runner import run_local
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import (
    Arrival,
    Configuration,
    NetworkSpec,
    Occasion,
    OutcomeKind,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    Window,
    digest_json,
    encode_object,
    silent,
)
from anamnesis.registry import Approval, GatePolicy, Log, judge, read_monitoring, read_outcome, settle
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
            "finetune", {}, NetworkSpec(size=(16, 16), width=8), TrainingSettings(epochs=2, batch_size=8)
        ),
        split_key=key.as_uri(),
        gate=GatePolicy(approval=Approval.AUTOMATIC),
        who="tester",
    )


def run(request: UpdateRequest, folder: Path) -> RunRecord:
    encoded: dict[str, Any] = encode_object(request)
    return run_local(compiled_pipeline(request.configuration.method), pipeline_arguments(encoded), folder, silent)


@pytest.mark.slow
def test_two_updates_and_a_repetition(request_of_first_site: UpdateRequest, tmp_path: Path) -> None:
    first = run(request_of_first_site, tmp_path / "runs" / "1")
    assert all(one.state is State.SUCCEEDED for one in first.steps)
    ingested, trained = first.step("ingest_site").outputs, first.step("train_finetune").outputs
    assert first.step("promote_model").outputs["champion"] == trained["version"]
    assert first.step("evaluate_forgetting").outputs["summary"]

    site = request_of_first_site.site
    known = SiteRef(site.name, request_of_first_site.store, site.task, str(ingested["test_set"]), "XC")
    request = replace(
        request_of_first_site,
        site=write_site(tmp_path / "turin", "turin", 2),
        store=(tmp_path / "stores" / "turin").as_uri(),
        base=str(trained["version"]),
        sites=(known,),
    )
    second = run(request, tmp_path / "runs" / "2")
    evaluations = second.step("evaluate_forgetting").outputs["evaluations"]
    assert {one["site"] for one in evaluations} == {"lyon", "turin"}  # type: ignore[attr-defined]
    assert second.step("promote_model").outputs["promoted"] is True

    again = run(request, tmp_path / "runs" / "3")
    assert again.step("ingest_site").outputs["reused"] is True
    assert again.step("train_finetune").outputs["reused"] is True
    for name in ("snapshot", "test_set"):
        assert again.step("ingest_site").outputs[name] == second.step("ingest_site").outputs[name]
    assert again.step("train_finetune").outputs["version"] == second.step("train_finetune").outputs["version"]


@pytest.mark.slow
def test_an_operators_updates_and_a_scheduled_evaluation(request_of_first_site: UpdateRequest, tmp_path: Path) -> None:
    asked = replace(request_of_first_site, occasion=Occasion("light-1", digest_json(1), Arrival("files", 40)))
    registry = open_store(asked.registry)
    record = run(asked, tmp_path / "runs" / "1")
    assert all(one.state is State.SUCCEEDED for one in record.steps)
    found = read_outcome(registry, digest_json(1))
    assert found
    assert (found.kind, found.version) == (OutcomeKind.CANDIDATE, record.step("train_finetune").outputs["version"])
    assert not Log(registry).entries()
    decision = judge(registry, found.version, asked.gate, required_tests(asked, found.test_set))
    settle(registry, decision, "operator", decision.reason)

    occasion = Occasion("light-2", digest_json(2), Arrival("files", 40))
    known = SiteRef(asked.site.name, asked.store, asked.site.task, found.test_set, "XC")
    again = replace(asked, base=found.version, sites=(known,), occasion=occasion)
    record = run(again, tmp_path / "runs" / "2")
    assert [one.state for one in record.steps] == [State.SUCCEEDED, *[State.SKIPPED] * 4]
    second = read_outcome(registry, digest_json(2))
    assert second
    assert (second.kind, second.version, second.snapshot) == (OutcomeKind.NO_CHANGE, "", found.snapshot)

    evaluation = EvaluationRequest(
        "light-evaluation-1",
        asked.model,
        asked.registry,
        found.version,
        ((asked.site, known),),
        asked.split_key,
        "2026-01-01T00:00:00Z",
    )
    arguments = scheduled_evaluation.pipeline_arguments(evaluation)
    run_local(scheduled_evaluation.compiled_pipeline(), arguments, tmp_path / "runs" / "3", silent)
    monitoring = read_monitoring(registry, evaluation.name)
    assert monitoring
    ((measured,), problems) = monitoring.measurements, monitoring.problems
    assert (measured.window, measured.recorded, problems) == (Window.FROZEN, measured.score.value, ())
