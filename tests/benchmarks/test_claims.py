import pytest

from benchmarks.scoreboard.claims import judge_claims
from benchmarks.scoreboard.rows import FEATURED_ROW, ROWS
from benchmarks.scoreboard.table import lines_of
from benchmarks.scoreboard.trial_choices import Choices, setting_of


@pytest.mark.parametrize(("right", "holds"), [((36, 34), False), ((36, 36), True), ((34, 38), True)])
def test_backward_transfer_is_judged_over_all_runs_and_told_by_order(make_result, right, holds):
    row = next(row for row in ROWS if row.label == FEATURED_ROW)
    runs = [
        make_result(setting_of(row, "shift", seed=0, order=order, current_choices=Choices()), right[order])
        for order in (0, 1)
    ]
    tables = {"shift": {line.row.label: line for line in lines_of({FEATURED_ROW: runs})}}
    site, shift = (verdict for verdict in judge_claims(tables) if "backward transfer" in verdict.claim)
    assert site.holds is None
    assert site.numbers == "not run"
    assert shift.holds is holds
    listed, reverse = (100 * (count / 40 - 0.9) for count in right)
    assert shift.numbers == f"{(listed + reverse) / 2:+.1f}; by order {listed:+.1f} and {reverse:+.1f}"
