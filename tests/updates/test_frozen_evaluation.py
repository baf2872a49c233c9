"""Evaluations on frozen test sets: recall of each class, and what is not evaluated."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from anamnesis.records import RefusedError
from anamnesis.registry import read_evaluations
from anamnesis.registry.opening import open_registry
from anamnesis.updates.frozen_evaluation import evaluate_frozen

if TYPE_CHECKING:
    from conftest import UpdateRunner


def test_classes_in_another_order_are_refused_and_not_scored(runner: "UpdateRunner") -> None:
    """The cases of a test set have the number of their class: in another order, right answers would count as wrong."""
    version = str(runner.update("north")["train"]["version"])
    (site,) = runner.learned_sites
    turned = replace(site, task=replace(site.task, classes=site.task.classes[::-1]), test_set=site.test_set)
    store = open_registry(runner.registry)
    (evaluation,) = (item for item in read_evaluations(store, version) if item.name == "forgetting")
    for key in [info.key for info in store.list() if "/evaluations/" in info.key]:
        store.delete(key)
    with pytest.raises(RefusedError, match=r"with classes \['left', 'right'\], found 'bars'"):
        evaluate_frozen(open_registry(runner.registry), version, [turned])
    assert evaluate_frozen(open_registry(runner.registry), version, [site]) == (evaluation,)


def test_recall_is_stored_only_for_classes_with_enough_patients(runner: "UpdateRunner") -> None:
    runner.write_images("north", patients=24)
    small = str(runner.update("north")["train"]["version"])
    runner.write_images("south", patients=200)
    large = str(runner.update("south")["train"]["version"])
    store = open_registry(runner.registry)
    recalls = {
        site: [name for name in evaluation.metrics if name.startswith("Recall/")]
        for version, site in ((small, "north"), (large, "south"))
        for evaluation in read_evaluations(store, version)
        if evaluation.site == site and evaluation.name == "forgetting"
    }
    assert recalls == {"north": [], "south": ["Recall/left", "Recall/right"]}
