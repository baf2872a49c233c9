"""The losses of an update that leave the site with its record."""

import math
from collections.abc import Mapping

from anamnesis.records import MINIMUM_CELL_PATIENTS
from anamnesis.snapshots.training_sets import TrainingSet
from anamnesis.training import RangeTest

_SIGNIFICANT_DIGITS = 6


def publishable_losses(
    epoch_losses: tuple[Mapping[str, float], ...], training_set: TrainingSet
) -> tuple[Mapping[str, float], ...]:
    """Returns the mean loss terms of each epoch, rounded; nothing about fewer than ``MINIMUM_CELL_PATIENTS`` patients.

    Args:
        epoch_losses: of the training loop; all numbers are finite.
        training_set: that they are means over.
    """
    if len(training_set.all_members) < MINIMUM_CELL_PATIENTS:
        return ()
    return tuple({name: _round(value) for name, value in terms.items()} for terms in epoch_losses)


def publishable_rate_losses(rate_test: RangeTest | None, training_set: TrainingSet) -> dict[str, float | None]:
    """Returns learning rate -> mean loss of a range test, rounded; none for rates that diverged.

    Args:
        rate_test: of the update; none where the rate was known.
        training_set: see ``publishable_losses``.
    """
    if rate_test is None or len(training_set.all_members) < MINIMUM_CELL_PATIENTS:
        return {}
    return {f"{rate:g}": _round(loss) if math.isfinite(loss) else None for rate, loss in rate_test.losses.items()}


def _round(loss: float) -> float:
    return float(f"{loss:.{_SIGNIFICANT_DIGITS}g}")
