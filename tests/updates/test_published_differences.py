"""What a reader of the registry gets who subtracts the statistics of consecutive versions: never few patients."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch

from anamnesis.storage import open_store
from anamnesis.updates.model import load_model
from anamnesis.updates.update import run_update

if TYPE_CHECKING:
    from conftest import UpdateRunner

MINIMUM = 5
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "ewc_prototype": {"visual_prototypes": {"sharing": "shared"}},
    **{method: {"features": "random"} for method in ("acil", "ncm")},  # of other features, sums cannot be subtracted
}
SUMS = {"acil": "ridge", "ncm": "ridge", "specialists": "router", "ewc_prototype": "random_space"}
"""The part of each method that has the sums of a site."""


@pytest.mark.parametrize("method", SUMS)
def test_no_difference_of_published_sums_is_one_patient(runner: "UpdateRunner", method: str) -> None:
    runner.method, runner.minimum_patients = method, MINIMUM
    published = []
    held_back = []
    for patients in (24, 28, 60, 58):  # the site grows a little, then enough, then loses a patient of each class
        runner.write_images("north", patients)
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
