"""Checkpoints: what is whole is read back, what is torn reads as none."""

from pathlib import Path

import torch

from anamnesis.storage.store import open_store
from anamnesis.training import Checkpoints
from anamnesis.training.optimisers import learning_rate_factor

STATE = {"method/network/w": torch.arange(6.0).view(2, 3), "method/steps": 4, "optimiser/0/step": torch.tensor(3.0)}


def test_what_was_saved_last_is_read_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/a")
    assert checkpoints.load() is None
    checkpoints.save({"epoch": 1}, {"method/network/w": torch.zeros(1)})
    checkpoints.save({"epoch": 2, "sums": {"loss": 0.1}}, STATE)
    loaded = checkpoints.load()
    assert loaded is not None
    position, state = loaded
    assert position == {"epoch": 2, "sums": {"loss": 0.1}}
    assert state["method/steps"] == 4
    assert torch.equal(state["method/network/w"], STATE["method/network/w"])  # type: ignore[arg-type]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1  # the older one is gone
    checkpoints.clear()
    assert checkpoints.load() is None


def test_a_torn_or_missing_blob_reads_as_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/a")
    checkpoints.save({"epoch": 1}, STATE)
    (blob,) = tmp_path.rglob("*.safetensors")
    blob.write_bytes(blob.read_bytes()[:-1])
    assert checkpoints.load() is None
    blob.unlink()
    assert checkpoints.load() is None


def test_they_are_due_by_the_clock(tmp_path: Path) -> None:
    elapsed = 0.0
    checkpoints = Checkpoints(
        open_store(tmp_path.as_uri()), "checkpoints/a", interval_seconds=10, clock=lambda: elapsed
    )
    assert not checkpoints.is_due()
    elapsed = 10.0
    assert checkpoints.is_due()
    checkpoints.save({}, {})
    assert not checkpoints.is_due()


def test_the_learning_rate_warms_up_and_decays() -> None:
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert factors[0] < factors[3] < factors[4] == 1.0
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[-1] < 0.03
    assert learning_rate_factor(0, 1) == 1.0
