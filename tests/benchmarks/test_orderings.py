import pytest

from benchmarks.scoreboard.orderings import ORDERINGS, Found, check


@pytest.mark.timeout(240)
def test_the_claimed_orderings_hold_on_phantoms():
    lost = [found for found in check("phantom", say=lambda text: None) if not found.holds]
    assert not lost


def test_an_ordering_that_is_turned_around_is_lost():
    assert not Found(ORDERINGS[0], better=1.0, worse=2.0).holds
