"""What a reader of the registry gets who subtracts the statistics of consecutive versions: never few patients."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch

from anamnesis.snapshots import read_site_key, withdraw_patients
from anamnesis.storage import open_store
from anamnesis.updates.model import load_model
from anamnesis.updates.update import run_update

if TYPE_CHECKING:
    from conftest import UpdateRunner

MINIMUM = 5
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "ewc_prototype": {"visual_prototypes": {"sharing": "shared"}},
    "frozen_ridge": {"features": "random"},  # of other features, sums cannot be subtracted
}
SUMS = {"frozen_ridge": "ridge", "specialists": "router", "ewc_prototype": "random_space"}
"""The part of each method that has the sums of a site."""


@pytest.mark.parametrize("method", SUMS)
def test_no_difference_of_published_sums_is_one_patient(runner: "UpdateRunner", method: str) -> None:
    runner.method, runner.minimum_patients = method, MINIMUM
    published = []
    held_back = []
    withdrawn = ("north-0-58", "north-0-59")  # one patient of each class
    for patients, names in ((24, ()), (28, ()), (60, ()), (58, withdrawn)):  # it grows a little, then enough
        runner.write_images("north", patients)
        if names:
            store = open_store(runner.store("north"))
            key = read_site_key(store, "north", runner.split_key_url)
            withdraw_patients(store, key, "north", names, author="a", reason="consent", recorded_at="")
        snapshot, _ = runner.ingest("north")
        request = runner.request("north")
        configuration = replace(request.configuration, options=OPTIONS.get(method, {}))
        run = run_update(replace(request, configuration=configuration), snapshot)
        held_back.append(run.held_back.patients)
        runner.base = run.record.version
        sums = load_model(open_store(runner.registry), runner.base).method.state_dict()[f"{SUMS[method]}.north/sums"]
        assert isinstance(sums, torch.Tensor)
        published.append(sums)
    for first, second in pairwise(published):
        counts = (second - first)[:, -1].abs()
        is_equal = (second - first).abs().amax(1) < 1e-9
        assert all(same or count >= MINIMUM for same, count in zip(is_equal, counts, strict=True))
    assert held_back == [0, 2, 0, 2 * (MINIMUM - 1)]
