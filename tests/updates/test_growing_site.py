"""A site that comes back, through snapshot and update: its parts are replaced, corrected labels are followed."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders.bar_images import bar_images

from anamnesis.methods import TaskContext
from anamnesis.records import Configuration, Version
from anamnesis.registry.versions import read_version
from anamnesis.storage import open_store
from anamnesis.updates import update
from anamnesis.updates.update import run_update

if TYPE_CHECKING:
    from conftest import UpdateRunner

LABELS = ("left", "right")


def learn(runner: "UpdateRunner", site: str, patients: int, classes: tuple[str, ...] = LABELS) -> Version:
    """Learns the site's present images, with the labels of ``classes``, by sums of random features."""
    folder = runner.root / "sources" / site
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images.npz").write_bytes(bar_images(site, patients, 0, classes, rows=False))
    snapshot, _ = runner.ingest(site)
    request = runner.request(site)
    configuration = Configuration("frozen_ridge", {"features": "random"}, runner.network, runner.training)
    run = run_update(replace(request, configuration=configuration), snapshot)
    runner.base = run.record.version
    return read_version(open_store(runner.registry), runner.base)


def test_after_growth_and_corrected_labels_the_version_is_that_of_the_current_data(
    make_runner: Callable[[str], "UpdateRunner"],
) -> None:
    grown, at_once = make_runner("grown"), make_runner("at-once")
    swapped = learn(grown, "north", 24, LABELS[::-1])
    learn(grown, "north", 30, LABELS[::-1])
    right = learn(grown, "north", 40)
    expected = learn(at_once, "north", 40)
    assert right.parts["ridge.north"] == expected.parts["ridge.north"] != swapped.parts["ridge.north"]
    assert right.parts["network"] == expected.parts["network"] != swapped.parts["network"]
    of_south = learn(grown, "south", 24)
    assert of_south.parts["ridge.north"] == right.parts["ridge.north"]  # stored once


def test_an_update_tells_the_method_about_the_other_sites_and_its_own_past(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[TaskContext] = []
    original = update.train

    def train(*arguments: object, **options: object) -> object:
        contexts.append(next(item for item in arguments if isinstance(item, TaskContext)))
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(update, "train", train)
    for site, patients in (("north", 24), ("south", 24), ("north", 40)):
        learn(runner, site, patients)
    assert [(dict(context.other_sites), context.is_returning) for context in contexts] == [
        ({}, False), ({"north": (0, 1)}, False), ({"south": (0, 1)}, True)
    ]  # fmt: skip
