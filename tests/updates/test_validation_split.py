"""Validation patients are trained on, unless the method chooses something on them."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from anamnesis.methods import method_class
from anamnesis.records import Split
from anamnesis.snapshots import read_snapshot_manifest
from anamnesis.storage import open_store
from anamnesis.updates import update

if TYPE_CHECKING:
    from conftest import UpdateRunner


def _write_images(runner: "UpdateRunner", validation_patients: int) -> None:
    folder = runner.root / "sources" / "north"
    folder.mkdir(parents=True)
    count = 40 + validation_patients
    images = np.random.default_rng(0).integers(0, 255, (count, 16, 16), dtype=np.uint8)
    split = np.array(["train"] * 24 + ["test"] * 16 + ["val"] * validation_patients)
    groups = np.array([f"p{number}" for number in range(count)])
    names = np.array(["left", "right"])
    np.savez(
        folder / "a.npz", images=images, labels=np.arange(count) % 2, groups=groups, split=split, class_names=names
    )


@pytest.mark.parametrize(
    ("chooses", "validation_patients", "sizes"),
    [
        (False, 24, {Split.TRAIN: 48}),
        (True, 24, {Split.TRAIN: 24, Split.VALIDATION: 24}),
        (True, 10, {Split.TRAIN: 34}),  # too few to choose on: such a method has to cross-fit
    ],
)
def test_validation_patients_are_held_out_only_for_choices(
    runner: "UpdateRunner",
    monkeypatch: pytest.MonkeyPatch,
    chooses: bool,
    validation_patients: int,
    sizes: dict[Split, int],
) -> None:
    read_sizes: list[dict[Split, int]] = []
    split_data = update.SplitData

    def record(splits, *rest):
        read_sizes.append({name: len(split.sample_ids) for name, split in splits.items()})
        return split_data(splits, *rest)

    method = method_class("finetune")
    monkeypatch.setattr(method, "capabilities", replace(method.capabilities, chooses_on_validation=chooses))
    monkeypatch.setattr(update, "SplitData", record)
    _write_images(runner, validation_patients)
    snapshot = str(runner.update("north")["train"]["version"]) and runner.ingest("north")[0]
    assert read_sizes == [sizes]
    counts = read_snapshot_manifest(open_store(runner.store("north")), snapshot).count_by_split()
    assert (counts["train"], counts["validation"], counts["test"]) == (24, validation_patients, 16)
