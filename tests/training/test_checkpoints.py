"""Checkpoints: what is whole is read back, what is torn reads as none."""

from pathlib import Path

import pytest
import torch

from anamnesis.methods import RateSchedule
from anamnesis.storage.store import open_store
from anamnesis.training import CheckpointPace, Checkpoints
from anamnesis.training.schedules import learning_rate_factor

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
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2  # a blob for each part; the older one is gone
    checkpoints.clear()
    assert checkpoints.load() is None


def test_a_torn_or_missing_blob_reads_as_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/a")
    checkpoints.save({"epoch": 1}, STATE)
    blob = min(tmp_path.rglob("*.safetensors"))
    blob.write_bytes(blob.read_bytes()[:-1])
    assert checkpoints.load() is None
    blob.unlink()
    assert checkpoints.load() is None


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_they_are_due_by_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/a", CheckpointPace(10), clock)
    assert not checkpoints.is_due()
    clock.seconds = 10.0
    assert checkpoints.is_due()
    checkpoints.save({}, {})
    assert not checkpoints.is_due()


def test_a_slow_checkpoint_is_followed_by_twenty_times_as_much_work(tmp_path: Path) -> None:
    clock, store = Clock(), open_store(tmp_path.as_uri())

    class SlowStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def put(self, key: str, data: bytes) -> None:
            clock.seconds += 2.0
            store.put(key, data)

    checkpoints = Checkpoints(SlowStore(), "checkpoints/a", CheckpointPace(10), clock)  # type: ignore[arg-type]
    checkpoints.save({}, {"method/network/w": torch.zeros(1)})  # the tensors and the manifest: 4 seconds
    clock.seconds += 79.0
    assert not checkpoints.is_due()
    clock.seconds += 1.0
    assert checkpoints.is_due()


def test_a_frozen_part_is_written_once(tmp_path: Path) -> None:
    written: list[str] = []
    store = open_store(tmp_path.as_uri())

    class RecordingStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def put(self, key: str, data: bytes) -> None:
            written.append(key)
            store.put(key, data)

    checkpoints = Checkpoints(RecordingStore(), "checkpoints/a")  # type: ignore[arg-type]
    frozen, learning = torch.zeros(8), torch.zeros(4)
    state = {"method/network/frozen": frozen, "method/network/learning": learning, "method/fisher.a/w": torch.ones(2)}
    for epoch in range(3):
        learning += 1
        checkpoints.save({"epoch": epoch}, state, frozen={"method/network/frozen"})
    blobs = [key for key in written if key.endswith(".safetensors")]
    assert len(blobs) == 5  # frozen and Fisher information once, the rest three times
    loaded = checkpoints.load()
    assert loaded is not None
    assert torch.equal(loaded[1]["method/network/learning"], torch.full((4,), 3.0))  # type: ignore[arg-type]
    assert torch.equal(loaded[1]["method/network/frozen"], frozen)  # type: ignore[arg-type]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    frozen += 1  # a method that changes it anyway loses nothing
    checkpoints.save({"epoch": 3}, state, frozen={"method/network/frozen"})
    assert torch.equal(checkpoints.load()[1]["method/network/frozen"], frozen)  # type: ignore[index,arg-type]


@pytest.mark.parametrize("schedule", RateSchedule)
def test_the_learning_rate_warms_up_and_follows_the_schedule(schedule: RateSchedule) -> None:
    factors = [learning_rate_factor(schedule, step, 100) for step in range(100)]
    assert factors[0] < factors[3] < factors[4] == 1.0
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] == 1.0 if schedule is RateSchedule.CONSTANT else 0 < factors[-1] < 0.04
    assert learning_rate_factor(schedule, 0, 1) == 1.0


def test_cosine_and_line_meet_in_the_middle_only() -> None:
    cosine, line = (
        [learning_rate_factor(schedule, step, 1000) for step in (60, 525, 900)]
        for schedule in (RateSchedule.COSINE, RateSchedule.LINEAR)
    )
    assert cosine[0] > line[0]
    assert cosine[1] == pytest.approx(line[1], abs=1e-3)
    assert cosine[2] < line[2]
