"""The test of a drop: its error at the margin, small numbers, several criteria, several looks, floors."""

import itertools
from decimal import Decimal

import numpy as np
import pytest

from anamnesis.records import METRICS, CriterionResult, Metric, PairedDifference
from anamnesis.registry.non_inferiority import (
    DropQuestion,
    DropTest,
    holm,
    judge_drops,
    judge_limit,
    level_of_look,
    one_sided_ends,
)
from anamnesis.registry.share_drop import ShareDrop
from anamnesis.registry.student_t import t_quantile, t_tail

MARGIN = Decimal("0.05")
ACCURACY = METRICS["Accuracy"]


def share_difference(losses: float, gains: float, patients: int) -> PairedDifference:
    lost, gained = Decimal(str(losses)), Decimal(str(gains))
    return PairedDifference(
        reference="sha256:base",
        metric="Recall/ill",
        drop=lost - gained,
        standard_error=Decimal(0),
        effective_patients=Decimal(patients),
        patients=patients,
        losses=lost,
        gains=gained,
    )


def dice_difference(drop: str, standard_error: str, patients: int = 50) -> PairedDifference:
    error = Decimal(standard_error)
    return PairedDifference("sha256:base", "Dice", Decimal(drop), error, Decimal(patients), patients)


def judge(difference: PairedDifference, look: int = 1) -> DropTest:
    return judge_drops([DropQuestion(difference, MARGIN)], look)[0]


def trinomial_tail(total: int, n: int, gains: float, drop: float) -> float:
    """Returns P(losses - gains <= total), by adding the patients one by one."""
    distribution = np.array([1.0])
    for _ in range(n):
        distribution = np.convolve(distribution, [gains, 1 - 2 * gains - drop, gains + drop])
    return float(distribution[: total + n + 1].sum())


@pytest.mark.parametrize(("n", "total", "drop"), [(50, 0, 0.05), (60, 0, 0.05), (100, 1, 0.05), (200, 4, 0.05)])
def test_the_tail_is_that_of_the_binomial_where_nothing_is_gained(n: int, total: int, drop: float) -> None:
    assert ShareDrop(total / n, 0.0, n).chance_of_less(drop) == pytest.approx(
        trinomial_tail(total, n, 0.0, drop), rel=0.06
    )


@pytest.mark.parametrize("n", [60, 100])
def test_at_the_margin_at_most_the_level_passes_whatever_else_changes(n: int) -> None:
    counts = [(lost, gained) for lost, gained in itertools.product(range(25), repeat=2)]
    passes = [
        judge(share_difference(lost / n, gained / n, n)).result is CriterionResult.PASSED for lost, gained in counts
    ]
    log_factorials = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    for gains in (1e-9, 0.005, 0.02, 0.05):
        losses = gains + 0.05
        probabilities = [
            np.exp(
                log_factorials[n] - log_factorials[lost] - log_factorials[gained] - log_factorials[n - lost - gained]
                + lost * np.log(losses) + gained * np.log(gains) + (n - lost - gained) * np.log(1 - losses - gains)
            )
            for lost, gained in counts
        ]  # fmt: skip
        assert sum(itertools.compress(probabilities, passes)) <= 0.048, gains


def test_no_changed_answer_of_few_patients_excludes_nothing() -> None:
    assert judge(share_difference(0, 0, 50)).result is CriterionResult.UNDECIDED  # .95^50 = .077
    assert judge(share_difference(0, 0, 70)).result is CriterionResult.PASSED  # .95^70 = .028
    assert judge(dice_difference("0", "0", 50)).result is CriterionResult.UNDECIDED
    assert judge(dice_difference("0", "0", 70)).result is CriterionResult.PASSED


def test_a_result_says_what_is_excluded_and_what_could_have_been() -> None:
    test = judge(share_difference(0.06, 0.02, 100))
    assert test.result is CriterionResult.UNDECIDED
    assert test.low < test.question.difference.drop < test.high
    assert test.detectable < test.high  # without a drop, a smaller margin would have passed
    assert ShareDrop(0.06, 0.02, 100).chance_of_less(float(test.high)) == pytest.approx(test.level, abs=1e-4)
    assert judge(share_difference(0.1, 0.01, 100)).result is CriterionResult.FAILED


def test_a_mean_has_the_t_test() -> None:
    test = judge(dice_difference("0.01", "0.02"))
    assert test.chance_at_margin == pytest.approx(t_tail(2, 49))
    assert float(test.high) == pytest.approx(0.01 + 0.02 * t_quantile(0.96, 49), abs=2e-6)
    assert judge(dice_difference("0.01", "0.01")).result is CriterionResult.PASSED
    assert judge(dice_difference("0.2", "0.01")).result is CriterionResult.FAILED


@pytest.mark.parametrize(
    ("probability", "degrees", "value"), [(0.975, 1, 12.7062), (0.95, 10, 1.81246), (0.975, 1999, 1.96115)]
)
def test_quantiles_of_students_t_are_those_of_tables(probability: float, degrees: int, value: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(value, rel=1e-5)


def test_one_failure_of_many_criteria_is_not_chance_of_their_number() -> None:
    doubtful, equal = share_difference(0.07, 0.01, 100), share_difference(0.02, 0.02, 100)
    alone = judge_drops([DropQuestion(doubtful, MARGIN)])
    among_many = judge_drops([DropQuestion(item, MARGIN) for item in (doubtful, equal, equal, equal)])
    assert alone[0].result is CriterionResult.FAILED
    assert among_many[0].result is CriterionResult.UNDECIDED
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_later_candidates_of_a_base_need_stronger_evidence() -> None:
    levels = [level_of_look(look) for look in range(1, 10_000)]
    assert sum(levels) == pytest.approx(0.05, abs=1e-5)
    assert sum(levels) <= 0.05
    assert levels == sorted(levels, reverse=True)
    difference = share_difference(0.01, 0.01, 100)
    assert [judge(difference, look).result for look in (1, 2)] == [CriterionResult.PASSED, CriterionResult.UNDECIDED]


def test_a_floor_is_passed_by_the_lower_end_and_failed_by_the_upper_one() -> None:
    wilson = Metric(Decimal("0.95"), 100, Decimal("0.886988"), Decimal("0.978734"), patients=100)
    low, high = one_sided_ends(wilson, ACCURACY)
    assert (float(low), float(high)) == pytest.approx((0.90024, 0.97561), abs=3e-4)  # Wilson at t = 1.66 of 99
    assert judge_limit(wilson, Decimal("0.90"), ACCURACY) is CriterionResult.PASSED
    assert judge_limit(wilson, Decimal("0.93"), ACCURACY) is CriterionResult.UNDECIDED
    assert judge_limit(wilson, Decimal("0.98"), ACCURACY) is CriterionResult.FAILED
    assert judge_limit(Metric(Decimal("0.95"), 1), Decimal("0.5"), ACCURACY) is CriterionResult.UNDECIDED
    perfect = Metric(Decimal(1), 100, Decimal("0.962"), Decimal(1), patients=100)
    assert judge_limit(perfect, Decimal("0.97"), ACCURACY) is CriterionResult.PASSED
