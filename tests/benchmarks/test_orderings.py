import pytest

from benchmarks.scoreboard.orderings import ORDERINGS, REAL_SEQUENCE, OrderingCheck, check_sequence


@pytest.mark.slow
def test_the_claimed_orderings_hold_on_phantoms():
    results = check_sequence("phantom")
    assert len(results) == len(ORDERINGS)
    assert not [str(result) for result in results if not result.holds]


@pytest.mark.slow
@pytest.mark.usefixtures("data_folder")
def test_the_claimed_orderings_hold_on_a_part_of_the_real_images():
    assert not [str(result) for result in check_sequence(REAL_SEQUENCE) if not result.holds]


def test_an_ordering_that_is_turned_around_is_lost():
    result = OrderingCheck(ORDERINGS[0], higher=1.0, lower=2.0)
    assert not result.holds
    assert str(result).startswith("LOST")
