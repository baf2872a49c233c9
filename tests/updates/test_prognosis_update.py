"""A prognosis from its files to the gate's decision, and the evaluator on cases with known scores."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from builders.learning import NoOptions
from PIL import Image
from torch import Tensor, nn

from anamnesis.methods import registered_methods
from anamnesis.methods.base import (
    DAYS,
    EVENT,
    Batch,
    Data,
    Method,
    MethodCapabilities,
    Prediction,
    PredictionRequest,
    SurvivalCurves,
    TaskContext,
)
from anamnesis.methods.stage import ParameterGroup, Stage, TrainingStep
from anamnesis.records import (
    InputError,
    LabelOrigin,
    LabelSource,
    NetworkSettings,
    PatchSettings,
    RefusedError,
    SiteRef,
    Split,
    Target,
    Task,
    TaskType,
    TrainingSettings,
)
from anamnesis.registry import ApprovalMode, GatePolicy, TaskLimits, read_evaluations
from anamnesis.snapshots import SampleRecord
from anamnesis.storage.store import open_store
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.evaluators import evaluator_of
from anamnesis.updates.window_predictions import predict_risks

TASK = Task("survival", TaskType.PROGNOSIS, (), "CIndex")
POLICY = GatePolicy(
    floor=Decimal("0.8"),
    margin=Decimal("0.03"),
    recall_margin=Decimal("0.05"),
    saliency_floor=Decimal("0.3"),
    approval=ApprovalMode.AUTOMATIC,
    tasks={"survival": TaskLimits(floor=Decimal("0.7"))},
)


class Risks(Method[NoOptions]):
    """A linear log-risk of the mean pixel by the partial likelihood (Cox, J. R. Stat. Soc. B 34 (1972) 187)."""

    name = "risks"
    capabilities = MethodCapabilities(task_types=frozenset({TaskType.PROGNOSIS}))

    def build(self, spec: NetworkSettings, seed: int) -> nn.Module:
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        return [Stage("risk", (ParameterGroup(tuple(self.network.parameters())),), (self.network,), epochs=4)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        risks = self._risks(batch.images)
        at_risk = batch.targets[DAYS][None] >= batch.targets[DAYS][:, None]
        log_sums = torch.where(at_risk, risks, -torch.inf).logsumexp(1)
        return {"partial_likelihood": (log_sums - risks)[batch.targets[EVENT]].mean()}

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        risks = self._risks(images)
        days = torch.tensor([100.0, 200.0, 400.0])
        return Prediction(log_risk=risks, survival=SurvivalCurves(days, (-risks.exp()[:, None] * days / 300).exp()))

    def _risks(self, images: Tensor) -> Tensor:
        return self.network(images.flatten(1).mean(1, keepdim=True))[:, 0]

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        pass


def write_images(folder: Path) -> None:
    """Writes 30 training and 40 test images: the brighter, the earlier the event; a few are censored."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["file,patient,split,event,days"]
    for patient in range(70):
        brightness = random.integers(0, 200)
        Image.fromarray(random.integers(0, 50, (16, 16), np.uint8) + np.uint8(brightness)).save(
            folder / f"{patient}.png"
        )
        days = int(500 - 2 * brightness + random.integers(0, 40))
        rows.append(f"{patient}.png,{patient},{'test' if patient < 40 else 'train'},{int(patient % 5 > 0)},{days}")
    (folder / "labels.csv").write_text("\n".join(rows))


def test_from_files_to_the_decision(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registered_methods()
    monkeypatch.setattr(Risks, "options_class", NoOptions, raising=False)
    monkeypatch.setitem(importlib.import_module("anamnesis.methods.register")._METHODS, "risks", Risks)
    write_images(runner.root / "sources" / "north")
    config = replace(runner.config("north"), task=TASK, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    runner.config, runner.policy = lambda site: config, POLICY
    runner.training = TrainingSettings(batch_size=10, learning_rate=0.5, augment=False)
    with pytest.raises(RefusedError, match=r"'finetune' supports Classification, but task 'survival' is Prognosis"):
        runner.update("north")
    runner.method = "risks"
    results = runner.update("north")
    assert results["promote"]["verdict"] == "promote", results["promote"]["reason"]
    (evaluation,) = read_evaluations(open_store(runner.registry), str(results["train"]["version"]))
    assert evaluation.metrics["CIndex"].low > Decimal("0.7")
    assert set(evaluation.metrics) == {"CIndex", "IntegratedBrierScore"}
    assert ({metric.patients for metric in evaluation.metrics.values()}, evaluation.class_patients) == ({40}, 40)


def case_set(days: list[float | None], events: list[bool]) -> CaseSet:
    records = tuple(
        SampleRecord(str(row), f"p{row}", "", Split.TEST, {}, Target(event=event, days=time))
        for row, (time, event) in enumerate(zip(days, events, strict=True))
    )
    return CaseSet(SiteRef("north", "", TASK), "", records, open_samples=None)  # type: ignore[arg-type]


def version_with(values: Mapping[str, Tensor]) -> Any:
    return SimpleNamespace(digest="sha256:0", predictions=lambda cases: values)


def test_scores_of_four_cases_are_those_of_a_count_by_hand() -> None:
    cases, evaluator = case_set([10.0, 20.0, 30.0, 40.0], [True, True, False, True]), evaluator_of(TASK)
    # pairs whose earlier time has an event: 1 with 2, 3, 4 and 2 with 3, 4
    perfect = version_with({"log_risk": torch.tensor([4.0, 3.0, 2.0, 1.0])})
    worse = version_with({"log_risk": torch.tensor([4.0, 2.0, 2.0, 3.0])})  # of 5 pairs 3 and a half
    assert evaluator.score(perfect, cases, {})["CIndex"].value == 1
    assert evaluator.score(worse, cases, {})["CIndex"].value == Decimal("0.7")
    (difference,) = evaluator.compare(worse, perfect, cases, None)
    assert (difference.metric, difference.drop) == ("CIndex", Decimal("0.3"))
    with pytest.raises(InputError, match=r"task 'survival': 1 of 2 samples have no time"):
        evaluator.score(perfect, case_set([10.0, None], [True, False]), {})


def test_the_risk_of_a_volume_in_patches_is_the_mean_over_its_windows() -> None:
    def predict_inputs(inputs: Mapping[str, Tensor], request: PredictionRequest) -> Prediction:
        means = inputs["CT"].flatten(1).mean(1)
        return Prediction(
            log_risk=means, survival=SurvivalCurves(torch.tensor([1.0, 2.0]), means[:, None].expand(-1, 2))
        )

    network = NetworkSettings(size=(4, 4, 4), patches=PatchSettings((8, 4, 4)))
    description = SimpleNamespace(configuration=SimpleNamespace(network=network))
    model: Any = SimpleNamespace(
        method=SimpleNamespace(name="risks", predict_inputs=predict_inputs), description=description
    )
    volume = torch.zeros(1, 1, 8, 4, 4)
    volume[:, :, 5:] = 1  # windows begin at 0, 3 and 4: shares 0, 1/2 and 3/4
    risks, curves = predict_risks(model, {"CT": volume}, PredictionRequest())
    assert risks.tolist() == pytest.approx([5 / 12])
    assert curves is not None
    assert curves.probabilities.tolist() == [pytest.approx([5 / 12] * 2)]
