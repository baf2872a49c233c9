"""The bootstrap of the claims against plain loops, and Holm's correction."""

import numpy as np
import pytest

from benchmarks.sites224.bootstrap import SiteScores, holm, paired_difference


def scores(seed: int, share: float = 0.8, images: int = 40, runs: int = 3) -> SiteScores:
    rng = np.random.default_rng(seed)
    values = (rng.random((runs, images)) < share).astype(float)
    return SiteScores(values, np.arange(images) % 2, np.arange(images) // 4, np.ones(runs))


def test_a_score_under_weights_is_the_mean_of_the_means_of_its_classes():
    site = scores(0)
    site.values[0, :3] = np.nan
    weights = np.random.default_rng(1).integers(0, 3, (5, site.patient_count)).astype(float)
    for draw in range(5):
        for run in range(3):
            means = []
            for group in (0, 1):
                rows = [row for row in range(40) if site.groups[row] == group and not np.isnan(site.values[run, row])]
                parts = [weights[draw, site.patients[row]] for row in rows]
                total = sum(part * site.values[run, row] for part, row in zip(parts, rows, strict=True))
                means.append(total / sum(parts))
            assert site.means(weights)[draw, run] == pytest.approx(sum(means) / 2)


def test_a_row_does_not_differ_from_itself_and_a_better_one_is_above_it():
    row = {name: scores(number) for number, name in enumerate("ab")}
    same = paired_difference(row, row, draws=200)
    assert (same.value, same.low, same.high, same.p_above(0)) == (0, 0, 0, 1)
    better = {
        name: SiteScores(site.values * 0 + 1, site.groups, site.patients, site.factors) for name, site in row.items()
    }
    difference = paired_difference(better, row, draws=200)
    assert difference.value == pytest.approx(
        np.mean([1 - site.means(np.ones((1, 10))).mean() for site in row.values()])
    )
    assert 0 < difference.low < difference.value < difference.high
    assert difference.p_above(0) == pytest.approx(1 / 201)


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says():
    """Two rows of one quality, 100 times."""
    inside = 0
    for trial in range(100):
        rows = [
            {name: scores(1000 * trial + 10 * side + number, images=80) for number, name in enumerate("ab")}
            for side in (0, 1)
        ]
        difference = paired_difference(*rows, draws=300, seed=trial)
        inside += difference.low <= 0 <= difference.high
    assert inside >= 85


def test_a_run_without_a_score_of_a_site_does_not_count_there():
    first, second = ({name: scores(number + side) for number, name in enumerate("ab")} for side in (0, 5))
    for row in (first, second):
        row["a"].values[0] = np.nan
    difference = paired_difference(first, second, draws=50)
    once = np.ones((1, 10))
    by_site = {name: (first[name].means(once) - second[name].means(once))[0] for name in "ab"}
    expected = [by_site["b"][0], *((by_site["a"][run] + by_site["b"][run]) / 2 for run in (1, 2))]
    assert difference.value == pytest.approx(np.mean(expected))


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
