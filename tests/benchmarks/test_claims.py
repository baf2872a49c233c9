from dataclasses import replace

import pytest

from benchmarks.scoreboard.claims import ClaimResult, judge_claims
from benchmarks.scoreboard.rows import FEATURED_ROW, HEAD_ALONE_ROW, ROWS
from benchmarks.scoreboard.run_intervals import difference_over_runs, mean_over_runs
from benchmarks.scoreboard.table import lines_of
from benchmarks.scoreboard.trial_choices import Choices, setting_of


@pytest.fixture
def tables_of(make_result):
    """Returns lines of one sequence from label -> (right answers of 40 by run, IoU, learning accuracy)."""

    def make_tables(sequence, runs_by_label):
        results = {
            label: [
                make_result(setting_of(row, sequence, seed, order=0, current_choices=Choices()), right, iou, learning)
                for seed, right in enumerate(rights)
            ]
            for row in ROWS
            if (label := row.label) in runs_by_label
            for rights, iou, learning in [runs_by_label[label]]
        }
        return {sequence: {line.row.label: line for line in lines_of(results)}}

    return make_tables


def verdict_on(tables, text):
    (verdict,) = (verdict for verdict in judge_claims(tables) if text in verdict.claim)
    return verdict


@pytest.mark.parametrize(
    ("rights", "verdict"),
    [
        ((36, 36, 36), ClaimResult.HOLDS),
        ((36, 34, 38), ClaimResult.NOT_SETTLED),
        ((30, 30, 31), ClaimResult.FALLS_SHORT),
        ((36,), ClaimResult.NOT_SETTLED),
    ],
)
def test_backward_transfer_is_judged_by_its_interval_over_runs(tables_of, rights, verdict):
    tables = tables_of("shift", {FEATURED_ROW: (rights, 0.5, 0.9)})
    assert verdict_on(tables, "On *shift*, backward transfer").verdict is verdict
    site = verdict_on(tables, "On *site*, backward transfer")
    assert (site.verdict, site.numbers) == (ClaimResult.NOT_MEASURED, "not run")


def test_a_row_at_chance_is_no_rival_and_a_difference_within_its_interval_is_not_settled(tables_of):
    rows = {FEATURED_ROW: ((34, 35, 34), 0.5, 0.9), "EWC": ((34, 33, 36), 0.5, 0.9), "LwF": ((0, 0, 0), 0.5, 0.9)}
    tables = tables_of("modality", rows)
    assert verdict_on(tables, "above `EWC`").verdict is ClaimResult.NOT_SETTLED
    assert verdict_on(tables, "above `LwF`").verdict is ClaimResult.HOLDS  # half of all answers, of four classes
    chance_table = {"modality": {**tables["modality"], "LwF": _at_chance(tables["modality"]["LwF"])}}
    judged = verdict_on(chance_table, "above `LwF`")
    assert judged.verdict is ClaimResult.DOES_NOT_COUNT
    assert "`LwF` is not above chance, 25.0" in judged.numbers


def _at_chance(line):
    scores = ((0.25, None), (0.25, 0.25))
    return replace(line, results=tuple(replace(run, class_incremental=scores) for run in line.results))


def test_retention_is_judged_against_all_rows_and_by_what_the_head_learns(tables_of):
    tune, other = ((10, 10), 0.2, 0.9), "ladder: all plus the discriminant as head"
    rows = {"fine-tune": tune, FEATURED_ROW: ((36, 36), 0.9, 0.95), HEAD_ALONE_ROW: ((36, 36), 0.9, 0.9)}
    claim = "keeps most saliency"
    assert verdict_on(tables_of("modality", rows), claim).verdict is ClaimResult.NOT_SETTLED  # equal to its own head
    rows[HEAD_ALONE_ROW] = ((36, 36), 0.8, 0.9)
    assert verdict_on(tables_of("modality", rows), claim).verdict is ClaimResult.HOLDS
    beaten = verdict_on(tables_of("modality", {**rows, other: ((36, 36), 0.97, 0.9)}), claim)
    assert beaten.verdict is ClaimResult.FALLS_SHORT
    assert f"{other} 0.970" in beaten.numbers
    slow_head = tables_of("modality", {**rows, HEAD_ALONE_ROW: ((36, 36), 0.8, 0.6)})  # and 1.0 on the second site
    judged = verdict_on(slow_head, claim)
    assert judged.verdict is ClaimResult.FALLS_SHORT
    assert "its head does not learn: 80.0 %" in judged.numbers
    assert not slow_head["modality"][FEATURED_ROW].learns


def test_intervals_over_runs_are_those_of_student():
    assert mean_over_runs({(0, 0): 1.0, (1, 0): 2.0, (2, 0): 3.0}) == pytest.approx(
        (2.0, 2 - 2.484, 2 + 2.484), abs=1e-3
    )
    assert difference_over_runs({(0, 0): 1.0, (1, 0): 5.0}, {(0, 0): 0.5})[0] == 0.5
    assert mean_over_runs({}) is None
