"""Continual metrics on matrices small enough to compute by hand, and the bugs known elsewhere."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation import accuracy_matrix as m
from anamnesis.records import InputError

HAND = m.AccuracyMatrix(
    update_tasks=("A", "B", "C"),
    scores=((0.9, 0.6, 0.5), (0.8, 0.7, 0.4), (0.6, 0.75, 0.8)),
    baseline_scores={"A": 0.5, "B": 0.5, "C": 0.3},
)
JOINT = m.AccuracyMatrix(("A", "B", "C"), ((0.9, None, None), (0.85, 0.9, None), (0.9, 0.9, 0.95)))
RETURN = m.AccuracyMatrix(
    update_tasks=("A", "B", "A", "C"),
    scores=((0.9, None, None), (0.5, 0.8, None), (0.95, 0.7, None), (0.85, 0.75, 0.6)),
)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (m.final_average, (0.6 + 0.75 + 0.8) / 3),
        (m.average_incremental, (0.9 + (0.8 + 0.7) / 2 + (0.6 + 0.75 + 0.8) / 3) / 3),
        (m.learning_accuracy, (0.9 + 0.7 + 0.8) / 3),
        (m.backward_transfer, ((0.6 - 0.9) + (0.75 - 0.7)) / 2),
        (m.forward_transfer, ((0.6 - 0.5) + (0.4 - 0.3)) / 2),
        (m.forgetting, ((0.9 - 0.6) + (0.7 - 0.75)) / 2),
        (m.worst_retention, 0.6 / 0.9),
    ],
)
def test_hand_made_matrix(function, expected: float) -> None:
    assert function(HAND) == pytest.approx(expected)


def test_intransigence_is_what_joint_training_would_have_gained() -> None:
    assert m.intransigence(HAND, JOINT) == pytest.approx((0.0 + (0.9 - 0.7) + (0.95 - 0.8)) / 3)


def test_intransigence_needs_the_same_sequence() -> None:
    with pytest.raises(InputError, match="intransigence"):
        m.intransigence(RETURN, JOINT)


def test_a_hospital_may_come_back() -> None:
    assert RETURN.tasks == ("A", "B", "C")
    assert RETURN.old_tasks == ("A", "B")
    assert m.final_average(RETURN) == pytest.approx((0.85 + 0.75 + 0.6) / 3)
    assert m.learning_accuracy(RETURN) == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert m.average_incremental(RETURN) == pytest.approx((0.9 + 0.65 + 0.825 + 2.2 / 3) / 4)
    assert m.backward_transfer(RETURN) == pytest.approx(((0.85 - 0.9) + (0.75 - 0.8)) / 2)
    assert m.forgetting(RETURN) == pytest.approx(((0.95 - 0.85) + (0.8 - 0.75)) / 2)
    assert m.forgetting_by_task(RETURN) == pytest.approx({"A": 0.1, "B": 0.05})
    assert m.worst_retention(RETURN) == pytest.approx(0.85 / 0.95)


def test_a_task_that_the_last_update_learned_again_is_still_an_old_task() -> None:
    matrix = m.AccuracyMatrix(("A", "B", "A"), ((0.9, None), (0.6, 0.8), (0.8, 0.8)))
    assert m.forgetting_by_task(matrix) == pytest.approx({"A": 0.1, "B": 0.0})


def test_forward_transfer_is_none_where_it_was_not_measured_and_not_zero() -> None:
    assert m.forward_transfer(RETURN) is None
    assert m.forward_transfer(dataclasses.replace(HAND, baseline_scores={})) is None
    assert m.forward_transfer(HAND) != 0


def test_forgetting_is_not_minus_backward_transfer() -> None:
    peaked = m.AccuracyMatrix(("A", "B", "C"), ((0.7, None, None), (0.9, 0.8, None), (0.6, 0.8, 0.8)))
    assert m.forgetting(peaked) == pytest.approx(0.15)
    assert m.backward_transfer(peaked) == pytest.approx(-0.05)


def test_a_task_that_improves_has_negative_forgetting() -> None:
    better = m.AccuracyMatrix(("A", "B"), ((-0.2, None), (-0.1, 0.5)))  # scores below zero: a padding zero would win
    assert m.forgetting(better) == pytest.approx(-0.1)
    assert m.forgetting(m.AccuracyMatrix(("A", "B"), ((0.7, None), (0.8, 0.5)))) == pytest.approx(-0.1)


def test_a_missing_cell_is_left_out_and_is_not_zero() -> None:
    gap = m.AccuracyMatrix(("A", "B", "C"), ((0.9, None, None), (None, 0.7, None), (None, 0.6, 0.8)))
    assert m.final_average(gap) == pytest.approx(0.7)
    assert m.forgetting_by_task(gap) == pytest.approx({"B": 0.1})
    assert m.average_incremental(gap) == pytest.approx((0.9 + 0.7 + 0.7) / 3)


def test_saliency_forgetting_is_the_mean_loss_of_iou_on_old_tasks() -> None:
    iou = m.AccuracyMatrix(("A", "B", "C"), ((None, None, None), (0.9, None, None), (0.75, 0.25, None)))
    assert m.saliency_forgetting(iou) == pytest.approx(((1 - 0.75) + (1 - 0.25)) / 2)


def test_saliency_forgetting_leaves_out_what_was_not_measured() -> None:
    assert m.saliency_forgetting(m.AccuracyMatrix(("A", "B", "C"), ((None,) * 3,) * 2 + ((0.75, None, 0.1),))) == 0.25
    assert m.saliency_forgetting(m.AccuracyMatrix(("A", "B"), ((None, None), (None, 0.5)))) is None


def test_one_update_has_no_old_task() -> None:
    first = m.AccuracyMatrix(("A",), ((0.9,),))
    assert m.continual_metrics(first) == {"FinalAverage": 0.9, "AverageIncremental": 0.9, "LearningAccuracy": 0.9}


def test_all_metrics_have_a_name() -> None:
    assert set(m.continual_metrics(HAND, JOINT)) == {
        "FinalAverage", "AverageIncremental", "LearningAccuracy", "BackwardTransfer", "ForwardTransfer", "Forgetting",
        "Intransigence", "WorstRetention",
    }  # fmt: skip


def test_a_ragged_matrix_is_refused() -> None:
    with pytest.raises(InputError, match="2 rows of 2 scores"):
        m.AccuracyMatrix(("A", "B"), ((0.9,), (0.8, 0.7)))


@given(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=6), st.data())
def test_bounds(learned: list[str], data: st.DataObject) -> None:
    width = len(set(learned))
    cell = st.none() | st.floats(0, 1)
    rows = tuple(tuple(data.draw(st.lists(cell, min_size=width, max_size=width))) for _ in learned)
    matrix = m.AccuracyMatrix(tuple(learned), rows)
    metrics = m.continual_metrics(matrix)
    for name in ("FinalAverage", "AverageIncremental", "LearningAccuracy", "WorstRetention"):
        assert 0 <= metrics.get(name, 0) <= 1
    if (transfer := m.backward_transfer(matrix)) is not None and None not in sum(rows, ()):
        assert m.forgetting(matrix) >= -transfer - 1e-9


DISTANCE = m.AccuracyMatrix(
    ("A", "B"), ((4.0, None), (9.0, 2.0)), metrics={"A": "SurfaceDistance", "B": "SurfaceDistance"}
)


def test_where_lower_is_better_a_higher_score_is_forgetting() -> None:
    assert m.forgetting(DISTANCE) == 5
    assert m.backward_transfer(DISTANCE) == -5
    assert m.final_average(DISTANCE) == 5.5
    assert m.worst_retention(DISTANCE) == pytest.approx(4 / 9)
    improved = m.AccuracyMatrix(("A", "B"), ((4.0, None), (3.0, 2.0)), metrics=DISTANCE.metrics)
    assert (m.forgetting(improved), m.backward_transfer(improved)) == (-1, 1)
    assert m.intransigence(DISTANCE, m.AccuracyMatrix(("A", "B"), ((3.0, None), (9.0, 1.0)))) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_error_rates_give_the_differences_of_accuracies(sign: int) -> None:
    names = {"A": "IntegratedBrierScore", "B": "IntegratedBrierScore"} if sign < 0 else {}
    rows = ((0.9, 0.2), (0.6, 0.8), (0.7, 0.7))
    scores = tuple(tuple(score if sign > 0 else 1 - score for score in row) for row in rows)
    baseline = {"B": 0.5}
    matrix = m.AccuracyMatrix(("A", "B", "A"), scores, baseline_scores=baseline, metrics=names)
    differences = [m.forgetting(matrix), m.backward_transfer(matrix), m.forward_transfer(matrix)]
    assert differences == pytest.approx([0.15, -0.15, -0.3])


def test_scores_of_different_units_or_directions_have_no_mean() -> None:
    mixed = m.AccuracyMatrix(("A", "B", "A"), ((4.0, None), (9.0, 0.8), (9.0, 0.7)), metrics={"A": "SurfaceDistance"})
    assert m.continual_metrics(mixed) == {"WorstRetention": pytest.approx(4 / 9, abs=1e-6)}
    counted = m.AccuracyMatrix(mixed.update_tasks, mixed.scores, counted_tasks=("A",), metrics=mixed.metrics)
    assert m.final_average(counted) == 9
    shares = m.AccuracyMatrix(mixed.update_tasks, mixed.scores, metrics={"A": "IntegratedBrierScore"})
    assert m.final_average(shares) is None
    assert m.forgetting(shares) is not None, "both are shares, and losses have one direction"
