"""The component ``train_lwf``. Generated; the work is in ``anamnesis.components.training.body``."""

from typing import NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def train_lwf(
    request: str,
    snapshot: str,
    test_set: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("version", str)]):  # type: ignore[valid-type]
    """Trains a new version of the model on a new site, with the method `lwf`.

    Learning without forgetting: on the new site's images, the base version is the teacher of the new one.

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

    return (train("lwf", request, snapshot, test_set, model, metrics),)
