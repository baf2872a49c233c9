"""The verdict follows the gate's tests: what was seen, what is excluded, and what the patients could not settle."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from anamnesis.evaluation.report import (
    ModelReport,
    ReportData,
    SiteColumn,
    UpdateRow,
    assemble_report,
    build_model_report,
)
from anamnesis.evaluation.report.charts import site_panels
from anamnesis.evaluation.report.side_by_side import common_site_rows, left_out_sites
from anamnesis.evaluation.report.statements import model_statement, report_summary
from anamnesis.records import (
    Criterion,
    CriterionResult,
    Decision,
    Enforcement,
    Evaluation,
    Metric,
    Task,
    TaskType,
    Verdict,
)

Scored = Callable[..., Metric]
TASKS = {site: Task(site.lower(), TaskType.CLASSIFICATION, ("no", "yes")) for site in "ABC"}


def loss(result: CriterionResult, value: str, metric: str = "AUROC", site: str = "A") -> Criterion:
    name = "recall_drop" if metric.startswith("Recall") else "forgetting"
    return Criterion(
        name=name, site=site, task="a", value=Decimal(value), limit=Decimal("0.03"), result=result, metric=metric,
        reference="v1", low=Decimal(value) - Decimal("0.02"), high=Decimal(value) + Decimal("0.02"), patients=120,
        detectable=Decimal("0.041"),
    )  # fmt: skip


def decision_on(*criteria: Criterion, verdict: Verdict = Verdict.PROMOTE, reason: str = "") -> Decision:
    return Decision(
        verdict=verdict, candidate="v2", base="v1", champion="v1", criteria=criteria, evaluations=(), reason=reason,
        enforcement=Enforcement.ENFORCED,
    )  # fmt: skip


def two_updates(score: Scored, decision: Decision | None, scores: tuple[float, float] = (0.9, 0.9)) -> ModelReport:
    """Returns a model that learned A and then B, with its scores on A before and after."""
    rows = [
        UpdateRow("v1", "A", promoted=True),
        UpdateRow("v2", "B", "v1", decision=decision, promoted=decision is None or decision.verdict is Verdict.PROMOTE),
    ]
    evaluations = [
        Evaluation(version, site, site.lower(), f"set-{site}", "evaluator", "forgetting", {"AUROC": score(value)})
        for version, site, value in (("v1", "A", scores[0]), ("v2", "A", scores[1]), ("v2", "B", 0.9))
    ]
    columns = [SiteColumn(site, task, f"set-{site}") for site, task in TASKS.items()]
    champion = "v2" if rows[1].promoted else "v1"
    return build_model_report("model", "ewc", columns=columns, updates=rows, evaluations=evaluations, champion=champion)


def test_a_passed_test_says_what_was_seen_and_what_is_excluded(score: Scored) -> None:
    decision = decision_on(loss(CriterionResult.PASSED, "-0.001"), loss(CriterionResult.PASSED, "0.008", "Recall/yes"))
    statement = model_statement(two_updates(score, decision))
    assert (statement.status, statement.headline) == ("kept", "No loss beyond the margins was seen at 1 earlier site")
    assert (
        "A: the largest measured loss is 0.008 (recall of yes) on 120 patients; a loss above 0.028 is excluded; "
        "allowed 0.030." in statement.details
    )
    assert "nothing" not in " ".join((statement.headline, *statement.details))


def test_a_test_that_settles_nothing_is_no_promise(score: Scored) -> None:
    statement = model_statement(two_updates(score, decision_on(loss(CriterionResult.UNDECIDED, "0.020"))))
    assert (statement.status, statement.headline) == (
        "open", "Not settled whether it lost something at 1 of 1 earlier site"
    )  # fmt: skip
    assert (
        "A: it is not settled whether AUROC fell by more than 0.030; measured 0.020 (0.000 to 0.040) on 120 patients. "
        "A loss below 0.041 could not be excluded." in statement.details
    )


def test_equal_ranking_does_not_hide_a_lost_class(score: Scored) -> None:
    decision = decision_on(loss(CriterionResult.PASSED, "0.003"), loss(CriterionResult.FAILED, "0.860", "Recall/yes"))
    statement = model_statement(two_updates(score, decision, scores=(0.93, 0.927)))
    assert (statement.status, statement.headline) == ("forgot", "Lost more than allowed at 1 of 1 earlier site")
    assert "A: recall of yes fell by 0.860 (0.840 to 0.880) on 120 patients; allowed 0.030." in statement.details


def test_a_collapsed_recall_at_the_new_site_is_in_the_verdict(score: Scored) -> None:
    floor = Criterion(
        name="recall", site="B", task="b", value=Decimal("0.04"), limit=Decimal("0.5"), result=CriterionResult.FAILED,
        metric="Recall/yes", low=Decimal("0.01"), high=Decimal("0.09"), patients=80,
        reason="Recall/yes of b at B is 0.040, and its interval with 80 patients is below the floor 0.5",
    )  # fmt: skip
    model = two_updates(score, decision_on(loss(CriterionResult.PASSED, "0.001"), floor))
    statement = model_statement(model)
    assert (statement.status, statement.headline) == (
        "mixed",
        "No loss beyond the margins was seen at 1 earlier site; it fails 1 other criterion of the gate",
    )
    sentence = "Recall of yes of b at B is 0.040, and its interval with 80 patients is below the floor 0.5."
    assert sentence in statement.details
    assert statement.reasons[0].sentences == (sentence,)


@pytest.mark.parametrize(("now", "status"), [(0.9, "open"), (0.86, "open"), (0.8, "forgot")])
def test_without_a_test_nothing_is_promised(score: Scored, now: float, status: str) -> None:
    statement = model_statement(two_updates(score, decision_on(), scores=(0.9, now)))
    assert statement.status == status
    (sentence,) = [each for each in statement.details if each.startswith("A: ")]
    assert sentence.startswith(f"A: AUROC 0.900 before, {now:.3f} now; the gate tested no margin here")
    assert sentence.endswith("a loss is neither shown nor excluded.")


def test_a_version_that_waits_is_in_the_first_sentence_and_its_reasons_in_the_report(score: Scored) -> None:
    decision = decision_on(
        loss(CriterionResult.UNDECIDED, "0.020"), verdict=Verdict.AWAIT_APPROVAL, reason="1 criterion is undecided"
    )
    model = two_updates(score, decision)
    statement = model_statement(model)
    assert model.waiting is model.updates[1]
    assert report_summary(ReportData("", "", (model,))).endswith("Update 2 (B) waits: 1 criterion is undecided.")
    (reasons,) = statement.reasons
    assert (reasons.number, reasons.outcome) == (2, "undecided: awaits approval")
    assert "could not be excluded" in reasons.sentences[0]
    assert {evaluation.version for evaluation in model.evaluations} == {"v1", "v2"}


def test_rejected_updates_are_hollow_marks_beside_the_line(score: Scored) -> None:
    decision = decision_on(loss(CriterionResult.FAILED, "0.500"), verdict=Verdict.REJECT, reason="failed 1 criterion")
    model = two_updates(score, decision, scores=(0.9, 0.4))
    report = assemble_report("", "2026-01-01T00:00:00Z", [model])
    (line,) = next(panel for panel in site_panels(report, "Primary") if panel.title == "A").lines
    assert [text for _, _, text in line.points] == ["0.90"]
    assert [text for _, _, text in line.hollow] == ["0.40, update 2: rejected"]
    assert model_statement(model).details[0].endswith("1 of 2 updates promoted. Rejected: update 2 (B).")
    assert model_statement(report.models[0]).status == "open"  # one site is in use, and nothing was lost by it


def test_models_are_compared_on_the_sites_that_both_learned(score: Scored) -> None:
    both = two_updates(score, decision_on())
    first_only = replace(two_updates(score, decision_on(verdict=Verdict.REJECT)), method="other")
    report = assemble_report("", "2026-01-01T00:00:00Z", [both, first_only])
    assert report.common_sites == ("A",)
    assert left_out_sites(report) == ("B",)
    assert {row.site for row in common_site_rows(report)} == {"A"}
    assert report.models[0].continual["Primary"]["FinalAverage"] == pytest.approx(0.9)
    other_set = replace(first_only, columns=tuple(replace(each, test_set="other") for each in first_only.columns))
    apart = assemble_report("", "2026-01-01T00:00:00Z", [both, other_set])
    assert (apart.common_sites, apart.models[0].compared) == ((), {})


def test_a_small_test_set_shows_no_score_and_a_small_class_no_interval(score: Scored) -> None:
    def shown(**counts: int) -> tuple[ModelReport, Metric | None]:
        evaluation = Evaluation("v2", "A", "a", "set-A", "evaluator", "forgetting", {"AUROC": score(0.876)}, **counts)
        columns = [SiteColumn("A", TASKS["A"], "set-A")]
        row = UpdateRow("v2", "A", decision=decision_on(loss(CriterionResult.FAILED, "0.123")))
        model = build_model_report("model", "ewc", columns=columns, updates=[row], evaluations=[evaluation])
        return model, model.matrices["Primary"][0][0]

    assert shown(patients=9)[1] is None
    model, rounded = shown(patients=50, class_patients=9)
    assert rounded is not None
    assert (str(rounded.value), rounded.low) == ("0.88", None)
    decision = model.updates[0].decision
    assert decision is not None
    assert (str(decision.criteria[0].value), decision.criteria[0].low) == ("0.12", None)
    exact = shown(patients=50, class_patients=10)[1]
    assert exact is not None
    assert exact.low is not None


def test_a_metric_where_lower_is_better_is_lost_where_its_score_rises() -> None:
    """Heads name unit and direction, the axis fits the values, and a loss is a rise."""
    task = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "SurfaceDistance")
    rows = [UpdateRow("v1", "A", promoted=True), UpdateRow("v2", "B", "v1", promoted=True)]
    columns = [SiteColumn(site, task, f"set-{site}") for site in "AB"]
    scores = [
        Evaluation(version, site, "organ", f"set-{site}", "e", "forgetting", {"SurfaceDistance": Metric(value, 40)})
        for version, site, value in (("v1", "A", Decimal(2)), ("v2", "A", Decimal(9)), ("v2", "B", Decimal(3)))
    ]
    model = build_model_report("model", "ewc", columns=columns, updates=rows, evaluations=scores, champion="v2")
    statement = model_statement(model)
    assert (statement.status, [loss.loss for loss in statement.losses]) == ("forgot", [7])
    assert statement.losses[0].metric == "surface distance (input pixels, lower is better)"
    better = [replace(scores[1], metrics={"SurfaceDistance": Metric(Decimal(1), 40)})]
    improved = build_model_report(
        "m", "ewc", columns=columns, updates=rows, evaluations=[scores[0], *better], champion="v2"
    )
    assert [loss.loss for loss in model_statement(improved).losses] == [-1]
    report = assemble_report("title", "2026-11-20T14:05:00Z", [model])
    assert report.models[0].continual["Primary"]["Forgetting"] == 7
    panel = site_panels(report, "Primary")[0]
    assert panel.title == "A · surface distance (input pixels, lower is better)"
    assert [text for _, text in panel.y_ticks] == ["0", "2", "4", "6", "8", "10"]
