"""The component ``train_joint``. Generated; the work is in ``anamnesis.components.training.body``."""

from typing import NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def train_joint(
    request: str,
    snapshot: str,
    test_set: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("version", str)]):  # type: ignore[valid-type]
    """Trains a new version of the model on a new site, with the method `joint`.

    Joint training on the data of all sites at once: the upper bound, not continual learning.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        snapshot: Digest of the new site's snapshot.
        test_set: Digest of the new site's test set.
        model: The version's digest and its registry; the weights are there.
        metrics: Seconds of training and bytes stored.

    Returns:
        version: Digest of the new version.
    """
    from anamnesis.components.training.body import train

    return (train("joint", request, snapshot, test_set, model, metrics),)
