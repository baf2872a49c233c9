"""Generated: the component ``train_frozen_ridge``, a call of ``anamnesis.components.training.train_step``."""

from typing import NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def train_frozen_ridge(
    request: str,
    snapshot: str,
    test_set: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("version", str)]):  # type: ignore[valid-type]
    """Trains a new version of the model on a new site, with the method `frozen_ridge`.

    ``frozen_ridge``: a linear classifier in closed form on frozen features, from sums over the images of each site.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        snapshot: Digest of the new site's snapshot.
        test_set: Digest of the new site's test set.
        model: Digest of the version and URL of the registry that holds the weights.
        metrics: Seconds of training and stored bytes.

    Returns:
        version: Digest of the new version.
    """
    from anamnesis.components.training.train_step import train

    version = train("frozen_ridge", request, snapshot=snapshot, test_set=test_set, model=model, metrics=metrics)
    return (version,)
