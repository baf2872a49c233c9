"""The registry of metrics: directions, ranges, types of tasks; wrong metrics are refused with those there are."""

from decimal import Decimal

import pytest

from anamnesis.records import (
    METRICS,
    Evaluation,
    InputError,
    Metric,
    PairedDifference,
    Task,
    TaskType,
    decode,
    encode,
    metric_properties,
    primary_metrics,
)

D = Decimal


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_range_with_the_worst_value_at_one_end(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.width > 0
    assert metric.best([metric.lowest, metric.highest]) != metric.worst_value
    assert metric.worst([metric.lowest, metric.highest]) == metric.worst_value
    assert (metric.grade(float(metric.worst_value)), metric.best([])) == (0, None)
    assert not (metric.is_share and (metric.unit or (metric.lowest, metric.highest) != (0, 1)))


def test_a_loss_is_positive_where_the_score_is_worse() -> None:
    dice, distance = METRICS["Dice"], METRICS["SurfaceDistance"]
    assert (dice.loss(D("0.9"), D("0.8")), distance.loss(D(2), D(3))) == (D("0.1"), D(1))
    assert (dice.best([0.1, 0.2]), distance.best([0.1, 0.2]), distance.worst([0.1, 0.2])) == (0.2, 0.1, 0.2)
    assert dice.is_worse(D("0.7"), D("0.8"))
    assert distance.is_worse(D(6), D(5))
    assert not distance.is_worse(D(5), D(5))
    assert not dice.is_worse(D("0.8"), D("0.8"))
    assert (dice.grade(0.75), distance.grade(25.0)) == (0.75, 0.75)


def test_a_metric_of_a_class_is_that_of_its_name() -> None:
    assert metric_properties("Recall/pneumonia") is METRICS["Recall"]


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"metric: expected one of AUROC, .*, found 'Dise'; correct the name"):
        metric_properties("Dise")


def test_every_type_of_task_has_a_primary_metric_and_takes_it_by_default() -> None:
    for task_type in TaskType:
        classes = ("a", "b") if task_type is TaskType.CLASSIFICATION else ()
        assert Task("t", task_type, classes).primary_metric == primary_metrics(task_type)[0]
    assert Task("t", TaskType.CLASSIFICATION, ("a", "b")).primary_metric == "AUROC"


@pytest.mark.parametrize("metric", ["AUROC", "CIndex", "Recall", "dice", "nothing"])
def test_a_metric_of_another_type_of_task_is_refused(metric: str) -> None:
    message = rf"task 'organ': primaryMetric: expected one of Dice, SurfaceDistance .* found '{metric}'"
    with pytest.raises(InputError, match=message):
        Task("organ", TaskType.SEGMENTATION, ("organ",), metric)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_not_a_number_is_refused(value: str) -> None:
    with pytest.raises(InputError, match=f"score: expected a finite number, found {value}"):
        Metric(D("0.5"), 10, high=D(value))
    with pytest.raises(InputError, match="difference of Dice: expected a finite number"):
        PairedDifference("sha256:base", "Dice", D(0), D(value), D(10), 10)


def test_a_stored_evaluation_with_a_score_that_is_not_a_number_is_refused() -> None:
    evaluation = Evaluation("v", "s", "t", "set", "e", "forgetting", {"Dice": Metric(D("0.5"), 10)})
    document = encode(evaluation)
    assert decode(Evaluation, document) == evaluation
    document["metrics"]["Dice"]["value"] = "NaN"
    with pytest.raises(InputError, match="finite"):
        decode(Evaluation, document)
