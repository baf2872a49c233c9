"""Scores of one test set against MONAI, naive loops and hand-made cases."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import compute_roc_auc
from torch import Tensor
from torch.nn.functional import one_hot

from anamnesis.evaluation.metrics import classification_metrics
from anamnesis.records import InputError, Metric


def logits_of(rows: int, classes: int, seed: int, ties: bool = False) -> Tensor:
    values = torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))
    return (values * 2).round() if ties else values


def scores_of(logits: Tensor, targets: Tensor, class_indices: Sequence[int]) -> dict[str, Metric]:
    """Scores with a patient for each case."""
    return classification_metrics(logits, targets, class_indices, [f"p{row}" for row in range(len(targets))])


def test_hand_made_case() -> None:
    logits = torch.tensor([[2.0, 0, 0, 9], [0, 1, 0, 0], [3, 1, 0, 0], [0, 2, 5, 0]])
    metrics = scores_of(logits, torch.tensor([0, 1, 1, 1]), class_indices=[0, 1])
    assert float(metrics["Accuracy"].value) == 0.75
    assert float(metrics["BalancedAccuracy"].value) == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert float(metrics["ClassIncrementalAccuracy"].value) == 0.25
    assert float(metrics["AUROC"].value) == pytest.approx((1 + 0.5 + 1) / 3, abs=1e-6)  # one tie: counts half
    assert all(metric.n == 4 and metric.low <= metric.value <= metric.high for metric in metrics.values())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_auroc_agrees_with_monai(classes: int, ties: bool) -> None:
    logits, targets = logits_of(60, classes, 0, ties), torch.arange(60) % classes
    ours = scores_of(logits, targets, range(classes))["AUROC"]
    chances = logits.double().softmax(1)
    chances = (chances * 1e12).round()  # equal logits must be equal chances, for MONAI too
    if classes == 2:
        theirs = compute_roc_auc(chances[:, 1], targets)
    else:
        theirs = compute_roc_auc(chances, one_hot(targets, classes), average="macro")
    assert float(ours.value) == pytest.approx(float(theirs), abs=2e-6)


def test_auroc_survives_saturated_probabilities() -> None:
    logits = torch.tensor([[0.0, 900], [0, 800], [0, 700], [0, 600]])
    assert float(scores_of(logits, torch.tensor([1, 1, 0, 0]), [0, 1])["AUROC"].value) == 1


def test_auroc_follows_the_order_of_the_tasks_classes_not_of_the_columns() -> None:
    logits, targets = logits_of(40, 4, 1), torch.arange(40) % 2 * 2 + 1  # columns 1 and 3
    forth = scores_of(logits, targets, [1, 3])
    back = scores_of(logits, targets, [3, 1])
    assert forth == back


def test_task_incremental_ignores_other_columns_and_class_incremental_does_not() -> None:
    logits, targets = logits_of(50, 2, 2), torch.arange(50) % 2
    alone = scores_of(logits, targets, [0, 1])
    crowded = scores_of(torch.cat([logits, torch.full((50, 1), 50.0)], 1), targets, [0, 1])
    assert {**crowded, "ClassIncrementalAccuracy": None} == {**alone, "ClassIncrementalAccuracy": None}
    assert crowded["ClassIncrementalAccuracy"].value == 0 != alone["ClassIncrementalAccuracy"].value


def test_a_missing_class_leaves_means_over_those_present() -> None:
    logits, targets = logits_of(30, 3, 3), torch.arange(30) % 2
    metrics = scores_of(logits, targets, [0, 1, 2])
    right = logits.argmax(1) == targets
    assert float(metrics["BalancedAccuracy"].value) == pytest.approx(
        float((right[::2].double().mean() + right[1::2].double().mean()) / 2), abs=1e-6
    )
    assert 0 < metrics["AUROC"].value < 1


def test_a_single_class_has_no_auroc_and_nothing_is_nan() -> None:
    metrics = scores_of(logits_of(5, 2, 4), torch.ones(5), [0, 1])
    assert set(metrics) == {"Accuracy", "BalancedAccuracy", "ClassIncrementalAccuracy"}
    assert all(metric.value.is_finite() for metric in metrics.values())


def test_minus_infinity_marks_a_class_that_cannot_win() -> None:
    logits = logits_of(8, 3, 5)
    logits[:, 2] = -torch.inf
    assert scores_of(logits, torch.arange(8) % 2, [0, 1])["ClassIncrementalAccuracy"].n == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_weights_are_refused(value: float) -> None:
    logits = logits_of(8, 2, 5)
    logits[3, 1] = value
    with pytest.raises(InputError, match="1 of 8 cases"):
        scores_of(logits, torch.arange(8) % 2, [0, 1])


def test_targets_must_be_the_tasks_own() -> None:
    with pytest.raises(InputError, match="class index 4, but the task has"):
        scores_of(logits_of(3, 5, 0), torch.tensor([0, 4, 1]), [0, 1])


def test_an_empty_test_set_is_refused() -> None:
    with pytest.raises(InputError, match="the test set has no cases"):
        scores_of(torch.zeros(0, 2), torch.zeros(0), [0, 1])


@given(st.integers(2, 4), st.integers(1, 30), st.integers(0, 10**6))
def test_every_score_lies_within_its_interval_and_the_interval_within_bounds(classes: int, n: int, seed: int) -> None:
    targets = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    for metric in scores_of(logits_of(n, classes, seed, ties=True), targets, range(classes)).values():
        assert 0 <= metric.low <= metric.value <= metric.high <= 1
