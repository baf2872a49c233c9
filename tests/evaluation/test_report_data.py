"""From evaluations to matrices, lineage, metrics and statements; JSON and back."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from anamnesis.evaluation.report import (
    ModelReport,
    ReportData,
    SiteColumn,
    UpdateRow,
    assemble_report,
    build_model_report,
    champion_lineage,
    read_report,
    report_json,
)
from anamnesis.evaluation.report.charts import site_panels
from anamnesis.evaluation.report.colours import contrast, shade
from anamnesis.evaluation.report.statements import model_statement
from anamnesis.records import (
    Evaluation,
    EvaluationSet,
    InputError,
    Metric,
    Task,
    TaskType,
)

Scored = Callable[..., Metric]
TASKS = {site: Task(site.lower(), TaskType.CLASSIFICATION, ("no", "yes")) for site in "ABC"}


def evaluation_of(version: str, site: str, auroc: float, score: Scored, **changes: object) -> Evaluation:
    evaluation = Evaluation(
        version=version,
        site=site,
        task=TASKS[site].name,
        test_set=f"set-{site}",
        evaluator="evaluator",
        name="forgetting",
        metrics={"AUROC": score(auroc)},
    )
    return replace(evaluation, **changes)


def small_report(rows: Sequence[UpdateRow], evaluations: Sequence[Evaluation], champion: str = "") -> ModelReport:
    columns = [SiteColumn(site, task, f"set-{site}") for site, task in TASKS.items()]
    return build_model_report(
        "model", "finetune", columns=columns, updates=rows, evaluations=evaluations, champion=champion
    )


def assembled(model: ModelReport) -> ModelReport:
    return assemble_report("", "2026-01-01T00:00:00Z", [model]).models[0]


CHAIN = [UpdateRow("v1", "A"), UpdateRow("v2", "B", "v1"), UpdateRow("v3", "A", "v2")]


def test_json_comes_back_as_it_was(example_report: ReportData) -> None:
    assert read_report(report_json(example_report)) == example_report


def test_json_holds_no_pixels(example_report: ReportData, example_pictures: dict[str, bytes]) -> None:
    value = json.loads(report_json(example_report))
    assert value["schema"] == 3
    assert {picture["digest"] for model in value["models"] for picture in model["pictures"]} == set(example_pictures)
    assert len(report_json(example_report)) < 300_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "found 'list'"),
        (b'{"schema": 2}', "expected schema 3, found 2"),
        (b'{"schema": 3, "title": 3}', "report.title: expected a text, found 3"),
    ],
)
def test_a_file_that_is_not_a_report_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_report(data)


def test_only_frozen_sets_that_count_now_enter_the_matrix(score: Scored) -> None:
    model = small_report(
        CHAIN[:2],
        [
            evaluation_of("v1", "A", 0.9, score),
            evaluation_of("v2", "A", 0.1, score, test_set="an earlier set"),
            evaluation_of("v2", "A", 0.2, score, evaluation_set=EvaluationSet.RECENT),
            evaluation_of("v2", "B", 0.8, score),
            evaluation_of("v9", "B", 0.3, score),
        ],
    )
    values = [[cell and float(cell.value) for cell in row] for row in model.matrices["Primary"]]
    assert values == [[0.9, None], [None, 0.8]]
    assert [column.site for column in model.columns] == ["A", "B"]


def test_each_column_of_the_primary_matrix_shows_its_own_tasks_metric(score: Scored) -> None:
    columns = [
        SiteColumn("A", replace(TASKS["A"], primary_metric="Accuracy"), "set-A"),
        SiteColumn("B", TASKS["B"], "set-B"),
    ]
    scores = {"AUROC": score(0.9), "Accuracy": score(0.7)}
    evaluations = [evaluation_of("v2", site, 0, score, metrics=scores) for site in "AB"]
    model = build_model_report("model", "finetune", columns=columns, updates=CHAIN[:2], evaluations=evaluations)
    assert [float(cell.value) for cell in model.matrices["Primary"][1] if cell] == [0.7, 0.9]


def test_a_returning_hospital_is_one_column_and_several_rows(score: Scored) -> None:
    scores = {("v1", "A"): 0.9, ("v2", "A"): 0.6, ("v2", "B"): 0.8, ("v3", "A"): 0.85, ("v3", "B"): 0.7}
    model = assembled(small_report(CHAIN, [evaluation_of(*key, value, score) for key, value in scores.items()]))
    assert len(model.matrices["Primary"]) == 3
    assert model.continual["Primary"]["Forgetting"] == pytest.approx((0.05 + 0.1) / 2)


def test_a_rejected_update_does_not_count_as_forgetting(score: Scored) -> None:
    rows = [
        replace(CHAIN[0], promoted=True),
        UpdateRow("bad", "B", "v1"),
        UpdateRow("v3", "C", "v1", promoted=True),
    ]
    scores = {("v1", "A"): 0.9, ("bad", "A"): 0.1, ("bad", "B"): 0.9, ("v3", "A"): 0.89, ("v3", "C"): 0.9}
    model = assembled(
        small_report(rows, [evaluation_of(*key, value, score) for key, value in scores.items()], champion="v3")
    )
    assert champion_lineage(model) == (0, 2)
    assert model.continual["Primary"]["Forgetting"] == pytest.approx(0.01)
    assert not [each for each in model_statement(model).details if "bad" in each or "0.1" in each]
    assert "2 of 3 updates promoted" in model_statement(model).details[0]


def test_intransigence_compares_with_joint_where_the_sequence_is_the_same(score: Scored) -> None:
    evaluations = [evaluation_of("v1", "A", 0.8, score), evaluation_of("v2", "B", 0.7, score)]
    joint_evaluations = [evaluation_of("v1", "A", 0.9, score), evaluation_of("v2", "B", 0.8, score)]
    method = small_report(CHAIN[:2], evaluations)
    joint = replace(small_report(CHAIN[:2], joint_evaluations), method="joint")
    other_joint = replace(small_report([UpdateRow("v2", "B")], joint_evaluations), method="joint")
    with_joint = assemble_report("", "2026-01-01T00:00:00Z", [method, joint]).models[0].continual["Primary"]
    without_joint = assemble_report("", "2026-01-01T00:00:00Z", [method, other_joint]).models[0].continual["Primary"]
    assert with_joint["Intransigence"] == pytest.approx(0.1)
    assert "Intransigence" not in without_joint


def test_saliency_forgetting_is_of_earlier_sites_only(score: Scored) -> None:
    earlier_evaluation = evaluation_of("v2", "A", 0, score, name="saliency", metrics={"IoU": score(0.6)})
    current_evaluation = evaluation_of("v2", "B", 0, score, name="saliency", metrics={"IoU": score(1.0)})
    assert assembled(small_report(CHAIN[:2], [earlier_evaluation, current_evaluation])).continual["IoU"] == {
        "SaliencyForgetting": pytest.approx(0.4)
    }


def test_the_first_site_has_nothing_to_forget(score: Scored) -> None:
    assert model_statement(small_report(CHAIN[:1], [evaluation_of("v1", "A", 0.9, score)])).status == "open"
    assert model_statement(small_report([], [])).headline == "Has learned nothing yet"


def test_the_fixed_warnings_are_always_there() -> None:
    report = assemble_report("", "2026-01-01T00:00:00Z", [], ["mine"])
    assert report.warnings[0] == "mine"
    assert any("Nothing clinical is claimed" in warning for warning in report.warnings)
    assert any("different numbers" in warning for warning in report.warnings)


def test_an_update_without_a_column_is_refused() -> None:
    with pytest.raises(InputError, match="site 'Z', but the report has no column"):
        small_report([UpdateRow("v1", "Z")], [])
    with pytest.raises(InputError, match="no update in the report made the champion v9"):
        small_report(CHAIN, [], champion="v9")


def test_curves_start_where_a_site_is_learned(example_report: ReportData) -> None:
    drawn = {panel.title: panel for panel in site_panels(example_report, "Primary")}
    assert [len(line.points) for line in drawn["st-anna"].lines] == [4, 4, 4]
    assert [len(line.points) for line in drawn["central-lab"].lines] == [1, 1, 1]
    heights = [y for _, y, _ in drawn["st-anna"].lines[0].points]
    assert heights == sorted(heights)  # fine-tuning falls; SVG's y grows downwards


def test_text_is_readable_on_every_shade() -> None:
    assert all(contrast(*shade(value / 200)) >= 4.5 for value in range(-20, 221))


@pytest.mark.parametrize("module", ["report", "accuracy_matrix"])
def test_imports_are_light(module: str) -> None:
    heavy = "{'torch', 'numpy', 'monai', 'matplotlib'}"
    code = f"import sys, anamnesis.evaluation.{module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_metrics_do_not_pull_monai() -> None:
    code = "import sys, anamnesis.evaluation.metrics, anamnesis.evaluation.saliency; print('monai' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
