"""Whether a version is no worse than a reference, and no worse than a limit: three results, with the error of each.

A *drop* is how much worse the version scores than the reference: the score of the reference minus that of the version,
or the reverse where lower is better. The same test applies to both directions, in the metric's unit. ``passed``: a drop
of the margin or more would show a difference as small as the measured one with a probability of at most the level.
``failed``: the measured drop exceeds the margin, and it is not chance that there is a drop. ``undecided``: the patients
are too few.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from anamnesis.records import CriterionResult, Metric, MetricProperties, PairedDifference, metric_properties
from anamnesis.registry.share_drop import ShareDrop
from anamnesis.registry.student_t import t_quantile, t_tail

LEVEL = 0.05
"""Largest probability of a wrong ``passed`` over all looks at a test set, and of a wrong ``failed`` in a task."""
_FIRST_LEVEL = 0.04
_HALVINGS = 40
_LARGEST_DROP = 1 - 1e-6
"""As a share of the metric's range."""


@dataclass(frozen=True, slots=True)
class DropQuestion:
    """A drop and the largest one that is accepted.

    Attributes:
        difference: the measured drop.
        margin: a drop below it is accepted; above 0.
    """

    difference: PairedDifference
    margin: Decimal


@dataclass(frozen=True, slots=True)
class DropTest:
    """The result of the test of one drop.

    Attributes:
        question: the drop and its margin.
        result: passed, failed or undecided.
        chance_at_margin: how probable a drop this small is, if the true one is the margin; ``passed`` up to ``level``.
        chance_without_drop: how probable a drop this large is, if there is none; after Holm within the task.
        level: of this look.
    """

    question: DropQuestion
    result: CriterionResult
    chance_at_margin: float
    chance_without_drop: float
    level: float

    @property
    def low(self) -> Decimal:
        """Lower end of the interval of the true drop, one-sided at 0.05."""
        return -_excluded_above(_reverse(self.question.difference), LEVEL)

    @property
    def high(self) -> Decimal:
        """Upper end of the interval of the true drop, one-sided at ``level``: larger drops are excluded."""
        return _excluded_above(self.question.difference, self.level)

    @property
    def detectable(self) -> Decimal:
        """The smallest margin that a version without a drop, with as many changed answers, would pass."""
        return _excluded_above(_without_drop(self.question.difference), self.level)


def level_of_look(look: int) -> float:
    """Returns the level of the k-th candidate of one base on one test set: 0.04, then 0.01 / (k (k - 1)).

    The levels of all candidates add up to 0.05, so the probability that any of them passes wrongly is at most 0.05,
    however they depend on each other (Bonferroni's inequality). Most of it is for the first one: a harmless update
    needs no second. Looks that were not counted (0) have the level of the first.
    """
    return _FIRST_LEVEL if look <= 1 else (LEVEL - _FIRST_LEVEL) / (look * (look - 1))


def judge_drops(questions: Sequence[DropQuestion], look: int = 1) -> tuple[DropTest, ...]:
    """Returns the results of all drops of one task, in the order of the questions.

    All must pass for a promotion, so each is tested at the full level (intersection-union test: Berger, Technometrics
    24 (1982) 295). A single failure rejects, so ``failed`` is corrected for their number by Holm (Scand. J. Stat. 6
    (1979) 65).

    Args:
        questions: of one task.
        look: which candidate of its base on the test set this is: 1, 2, 3, ...; see ``level_of_look``.
    """
    level = level_of_look(look)
    chances = holm([_chance_of_more(question.difference, 0.0) for question in questions])
    return tuple(_judge(question, chance, level) for question, chance in zip(questions, chances, strict=True))


def judge_limit(score: Metric, limit: Decimal, properties: MetricProperties) -> CriterionResult:
    """Returns whether the true score is within a floor, or a ceiling where lower is better.

    ``passed`` or ``failed`` at 0.05, one-sided each. A score without an interval is undecided.
    """
    low, high = one_sided_ends(score, properties)
    worst_end, best_end = (high, low) if properties.is_lower_better else (low, high)
    if worst_end is not None and not properties.is_worse(worst_end, limit):
        return CriterionResult.PASSED
    if best_end is not None and properties.is_worse(best_end, limit):
        return CriterionResult.FAILED
    return CriterionResult.UNDECIDED


def one_sided_ends(score: Metric, properties: MetricProperties) -> tuple[Decimal | None, Decimal | None]:
    """Returns the ends of a score's interval at 0.05, one-sided each, from its two-sided 95 % interval.

    The end e of the score interval of a share solves (score - e)^2 = t^2 e (1 - e) / n: the end gives t^2 / n, which is
    scaled to the quantile of a one-sided interval. Means get the proportional part of the distance.
    """
    degrees = max(score.patients, 2) - 1
    scale = t_quantile(1 - LEVEL, degrees) / t_quantile(1 - LEVEL / 2, degrees)
    low, high = (
        None if end is None else _move_end(score.value, end, scale, properties.is_share)
        for end in (score.low, score.high)
    )
    return low, high


def holm(chances: Sequence[float]) -> list[float]:
    """Returns adjusted probabilities: those at most 0.05 are significant together. Source: Holm (1979)."""
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda item: chances[item])):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = largest
    return adjusted


def _judge(question: DropQuestion, chance_without_drop: float, level: float) -> DropTest:
    difference, margin = question.difference, float(question.margin)
    chance_at_margin = _chance_of_less(difference, margin)
    if chance_at_margin <= level:
        result = CriterionResult.PASSED
    elif float(difference.drop) > margin and chance_without_drop <= LEVEL:
        result = CriterionResult.FAILED
    else:
        result = CriterionResult.UNDECIDED
    return DropTest(
        question=question,
        result=result,
        chance_at_margin=chance_at_margin,
        chance_without_drop=chance_without_drop,
        level=level,
    )


def _chance_of_less(difference: PairedDifference, drop: float) -> float:
    """Returns how probable a drop as small as the measured one is, if the true one is ``drop``."""
    if shares := _share_drop(difference):
        return shares.chance_of_less(drop / _width(difference))
    return t_tail((drop - float(difference.drop)) / float(difference.standard_error), difference.patients - 1)


def _chance_of_more(difference: PairedDifference, drop: float) -> float:
    return _chance_of_less(_reverse(difference), -drop)


def _share_drop(difference: PairedDifference) -> ShareDrop | None:
    """Returns the shares of a difference, or none where a t test applies.

    Where nothing has changed there is no standard error. A drop by a share of the metric's range changes the score of
    at least that share of the patients, so it is tested as a share without losses.
    """
    if difference.losses is not None and difference.gains is not None:
        return ShareDrop(float(difference.losses), float(difference.gains), float(difference.effective_patients))
    if not difference.standard_error or difference.patients < 2:
        share = float(difference.drop) / _width(difference)
        return ShareDrop(max(share, 0.0), max(-share, 0.0), difference.patients)
    return None


def _width(difference: PairedDifference) -> float:
    return float(metric_properties(difference.metric).width)


def _excluded_above(difference: PairedDifference, level: float) -> Decimal:
    """Returns the smallest drop that a test at ``level`` excludes, by bisection, rounded up to six places."""
    low, high = float(difference.drop), _LARGEST_DROP * _width(difference)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _chance_of_less(difference, middle) <= level else (middle, high)
    return Decimal(math.ceil(high * 1_000_000)) / 1_000_000


def _reverse(difference: PairedDifference) -> PairedDifference:
    """Returns the difference with version and reference exchanged."""
    return replace(difference, drop=-difference.drop, losses=difference.gains, gains=difference.losses)


def _without_drop(difference: PairedDifference) -> PairedDifference:
    """Returns a difference with as many changed answers, of which as many are gains as losses."""
    if difference.losses is None or difference.gains is None:
        return replace(difference, drop=Decimal(0))
    half = (difference.losses + difference.gains) / 2
    return replace(difference, drop=Decimal(0), losses=half, gains=half)


def _move_end(score: Decimal, end: Decimal, scale: float, is_share: bool) -> Decimal:
    value, far_end = float(score), float(end)
    distance = far_end - value
    if not (is_share and 0 < far_end < 1 and 0 <= value <= 1):
        return score + (end - score) * Decimal(scale)
    spread = scale**2 * distance**2 / (far_end * (1 - far_end))  # t^2 / n of the one-sided interval
    centre = (value + spread / 2) / (1 + spread)
    half = math.sqrt(max(spread * value * (1 - value) + spread**2 / 4, 0.0)) / (1 + spread)
    return Decimal(f"{centre + math.copysign(half, distance):.6f}")
