"""Updates and evaluations with stored features: equal versions and scores, and each image goes through once."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from anamnesis import steps
from anamnesis.networks.image_descriptor import ImageDescriptor
from anamnesis.networks.level_classifier import PooledLevels
from anamnesis.records import SiteRef, canonical_json, encode_object

if TYPE_CHECKING:
    from conftest import UpdateRunner


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The number of images that went through the network and the descriptor."""
    counts = {"PooledLevels": 0, "ImageDescriptor": 0}
    for network in (PooledLevels, ImageDescriptor):

        def count(self: torch.nn.Module, images: torch.Tensor, forward: object = network.forward) -> object:
            counts[type(self).__name__] += len(images)
            return forward(self, images)  # type: ignore[operator]

        monkeypatch.setattr(network, "forward", count)
    return counts


def learn(runner: "UpdateRunner") -> bytes:
    """Learns three times with a new registry, and returns the results of all steps."""
    runner.base, runner.learned_sites = "", ()
    shutil.rmtree(runner.root / "registry", ignore_errors=True)
    for site in ("north", "east"):
        shutil.rmtree(runner.root / "stores" / site / "predictions", ignore_errors=True)
    results: list[object] = []
    for site in ("north", "east", "north"):
        snapshot, test_set = runner.ingest(site)
        request = encode_object(runner.request(site))
        runner.base = str(steps.train(request, snapshot, test_set)["version"])
        results += [runner.base, steps.evaluate_forgetting(request, runner.base, test_set)]
        earlier = [learned for learned in runner.learned_sites if learned.name != site]
        runner.learned_sites = (
            *earlier,
            SiteRef(site, runner.store(site), runner.config(site).task, test_set, ("OT",)),
        )
    return canonical_json(results)


def test_versions_and_scores_are_equal_with_an_empty_a_half_full_and_a_full_cache(
    runner: "UpdateRunner", passes: dict[str, int], scratch_folder: Path
) -> None:
    runner.method = "frozen_ridge"
    expected = learn(runner)
    first = dict(passes)
    passes.update(dict.fromkeys(passes, 0))
    assert learn(runner) == expected
    assert passes["PooledLevels"] < first["PooledLevels"] / 3
    assert passes["ImageDescriptor"] < first["ImageDescriptor"] / 3
    for number, file in enumerate(sorted(scratch_folder.rglob("features.array"))):
        if number % 2:
            shutil.rmtree(file.parent)
    assert learn(runner) == expected
