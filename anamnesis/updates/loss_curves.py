"""The loss curves of an update that leave the site with its record."""

from collections.abc import Mapping

from anamnesis.records import MINIMUM_CELL_PATIENTS
from anamnesis.snapshots.training_sets import TrainingSet

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
    return tuple(
        {name: float(f"{value:.{_SIGNIFICANT_DIGITS}g}") for name, value in terms.items()} for terms in epoch_losses
    )
