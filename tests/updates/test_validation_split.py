"""Validation patients are held out where a site has no calibration set; else they are trained on."""

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from anamnesis.methods import method_class
from anamnesis.records import HeldOutSet, OperatingPoint, Split, decode
from anamnesis.registry import find_update_record, read_version
from anamnesis.snapshots import read_snapshot_manifest
from anamnesis.snapshots.testsets import find_test_set
from anamnesis.storage import open_store
from anamnesis.updates import update
from anamnesis.updates.stored_operating_points import read_operating_points

if TYPE_CHECKING:
    from conftest import UpdateRunner


@pytest.mark.parametrize(
    ("chooses", "validation_patients", "calibration_patients", "sizes", "held_out"),
    [
        (False, 24, 0, {Split.TRAIN: 24}, HeldOutSet.VALIDATION),
        (False, 24, 20, {Split.TRAIN: 48}, HeldOutSet.CALIBRATION),
        (True, 24, 0, {Split.TRAIN: 24, Split.VALIDATION: 24}, HeldOutSet.VALIDATION),
        (True, 24, 20, {Split.TRAIN: 24, Split.VALIDATION: 24}, HeldOutSet.CALIBRATION),
        (True, 10, 0, {Split.TRAIN: 34}, None),  # too few to choose on: such a method has to cross-fit
    ],
)
def test_an_operating_point_comes_from_patients_who_were_held_out(
    runner: "UpdateRunner",
    monkeypatch: pytest.MonkeyPatch,
    chooses: bool,
    validation_patients: int,
    calibration_patients: int,
    sizes: dict[Split, int],
    held_out: HeldOutSet | None,
) -> None:
    read_sizes: list[dict[Split, int]] = []
    split_data = update.SplitData

    def record(splits, *rest, **settings):
        read_sizes.append({name: len(split.sample_ids) for name, split in splits.items()})
        return split_data(splits, *rest, **settings)

    method = method_class("finetune")
    monkeypatch.setattr(method, "capabilities", replace(method.capabilities, chooses_on_validation=chooses))
    monkeypatch.setattr(update, "SplitData", record)
    runner.write_split_images(train=24, test=16, val=validation_patients, calibration=calibration_patients)
    trained = runner.update("north")["train"]
    assert read_sizes == [sizes]
    site_store, registry = open_store(runner.store("north")), open_store(runner.registry)
    snapshot, test_set = runner.ingest("north")
    counts = read_snapshot_manifest(site_store, snapshot).count_by_split()
    assert (counts["train"], counts["validation"], counts["test"]) == (24, validation_patients, 16)

    point = decode(OperatingPoint | None, trained["operating_point"])  # type: ignore[arg-type]
    stored_points = read_operating_points(registry, read_version(registry, str(trained["version"])))
    assert stored_points == ({"north": point} if point else {})
    record_of_update = find_update_record(registry, str(trained["input"]))
    assert record_of_update is not None
    opened = {snapshot}
    if held_out is HeldOutSet.CALIBRATION:
        opened.add(find_test_set(site_store, test_set).calibration)
    assert set(record_of_update.opened_snapshots) == opened
    assert (point.source if point else None) == held_out
    if point:
        assert point.patients == point.cases == max(calibration_patients, 20 if calibration_patients else 24)
        assert point.temperature > 0
        assert Decimal(0) < (point.threshold or Decimal(0)) < 1
