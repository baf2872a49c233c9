"""A site whose source drops files, corrects labels and withdraws patients, through the steps of an update."""

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders.update_steps import make_trigger, run_update_steps

from anamnesis import steps
from anamnesis.records import RefusedError, UpdateResult, UpdateResultKind, encode_object
from anamnesis.registry import read_version
from anamnesis.snapshots import read_site_key, read_snapshot_manifest, withdraw_patients
from anamnesis.snapshots.training_sets import find_training_set
from anamnesis.storage import open_store

if TYPE_CHECKING:
    from conftest import UpdateRunner


def rewrite(runner: "UpdateRunner", first: int = 0, last: int = 24, swapped: tuple[int, ...] = ()) -> None:
    """Leaves the images of some patients at the source of site ``north``, with the labels of others exchanged."""
    runner.write_images("north")
    path = runner.root / "sources" / "north" / "images.npz"
    arrays = dict(np.load(path))
    arrays["labels"][list(swapped)] = 1 - arrays["labels"][list(swapped)]
    rows = slice(first, last)
    file = BytesIO()
    np.savez(file, **{name: values if name == "class_names" else values[rows] for name, values in arrays.items()})
    path.write_bytes(file.getvalue())


def run(runner: "UpdateRunner", claim: str, minimum: int = 0) -> UpdateResult:
    """Runs an update as the operator does: with a trigger, whose claim is new where the source or the base is."""
    trigger = replace(make_trigger(minimum=minimum), claim=f"sha256:{claim * 64}")
    return run_update_steps(replace(runner.request("north"), trigger=trigger))


def learned_patients(runner: "UpdateRunner", version: str) -> set[str]:
    digest = read_version(open_store(runner.registry), version).training_set
    return set(find_training_set(open_store(runner.store("north")), str(digest)).all_members)


def test_a_source_that_shrank_holds_the_update_until_its_files_are_back(runner: "UpdateRunner") -> None:
    runner.update("north")
    rewrite(runner, first=10)
    held = run(runner, "1")
    assert (held.kind, held.version) == (UpdateResultKind.SOURCE_SHRANK, "")
    assert "no longer lists" in held.hold
    assert "carried_forward" in held.masked_counts, "6 patients: their number leaves no site"
    assert "carried_forward" not in held.counts
    with pytest.raises(RefusedError, match="site 'north': the update is held: the source no longer lists"):
        steps.begin_update(encode_object(runner.request("north")), 1)
    runner.update("east")  # another site is not held
    rewrite(runner)
    assert run(runner, "2").kind is UpdateResultKind.NO_CHANGE


def test_files_that_a_rule_deletes_stay_learned_and_start_no_update(runner: "UpdateRunner") -> None:
    runner.update("north")
    learned = learned_patients(runner, runner.base)
    rewrite(runner, first=3)
    assert run(runner, "1", minimum=1).kind is UpdateResultKind.NO_CHANGE
    runner.write_images("north", patients=36)
    result = run(runner, "2", minimum=1)
    assert (result.kind, result.new_patients) == (UpdateResultKind.CANDIDATE, 8)
    assert learned < learned_patients(runner, result.version)


def test_corrected_labels_and_withdrawals_are_learned_without_a_new_patient(runner: "UpdateRunner") -> None:
    runner.update("north")
    first = learned_patients(runner, runner.base)
    rewrite(runner, swapped=(2, 3, 4, 5))
    corrected = run(runner, "1", minimum=20)
    assert (corrected.kind, corrected.new_patients) == (UpdateResultKind.CANDIDATE, 0)
    store = open_store(runner.store("north"))
    samples = read_snapshot_manifest(store, corrected.snapshot).samples_of("train")
    assert len({sample.patient for sample in samples} & first) == len(first)
    runner.base = corrected.version
    key = read_site_key(store, "north", runner.split_key_url)
    names = ["north-0-2", "north-0-3"]
    withdraw_patients(store, key, "north", names, author="a", reason="consent", recorded_at="2026-01-01T00:00:00Z")
    withdrawn = run(runner, "2", minimum=20)
    assert withdrawn.kind is UpdateResultKind.CANDIDATE
    assert withdrawn.masked_counts == ("withdrawn",)
    assert len(first - learned_patients(runner, withdrawn.version)) == 2
    runner.base = withdrawn.version
    assert run(runner, "3", minimum=20).kind is UpdateResultKind.NO_CHANGE
    rewrite(runner)  # the labels are put back: the snapshot is not the first one, and not "learned before"
    assert run(runner, "4", minimum=20).kind is UpdateResultKind.CANDIDATE
