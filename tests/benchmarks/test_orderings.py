import pytest

from benchmarks.scoreboard.orderings import ORDERINGS, REAL, Found, check


@pytest.mark.timeout(240)
def test_the_claimed_orderings_hold_on_phantoms():
    found = check("phantom")
    assert len(found) == len(ORDERINGS)
    assert not [str(each) for each in found if not each.holds]


@pytest.mark.slow
@pytest.mark.usefixtures("data_folder")
def test_the_claimed_orderings_hold_on_a_part_of_the_real_images():
    assert not [str(each) for each in check(REAL) if not each.holds]


def test_an_ordering_that_is_turned_around_is_lost():
    found = Found(ORDERINGS[0], higher=1.0, lower=2.0)
    assert not found.holds
    assert str(found).startswith("LOST")
