"""A real process, killed with SIGKILL at random moments and started again, ends with the same digests."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from toys.processes import start, train_and_tell

from anamnesis.records import TrainingSettings
from anamnesis.registry import list_updates, list_versions, open_store, verify_versions

if TYPE_CHECKING:
    from conftest import World

KILLS = 4


def test_killed_at_random_it_ends_as_if_never_killed(make_world: Callable[[str], "World"]) -> None:
    whole, broken = make_world("whole"), make_world("broken")
    for world in (whole, broken):
        world.method = "ewc_prototype"
        world.training = TrainingSettings(epochs=6, batch_size=8)
        world.root.mkdir()
        (world.root / "split.key").write_bytes(b"k" * 32)
    expected = whole.update("north")["train"]["version"]
    snapshot, _ = broken.ingest("north")
    moment, last = random.Random(0), 0
    for _ in range(KILLS):
        process, told = start(train_and_tell, broken.request("north"), snapshot)
        first = told.recv()
        assert first >= last  # it goes on where the last checkpoint was; at most the step under way is repeated
        last = first
        for _ in range(moment.randint(0, 2)):
            last = told.recv()
        time.sleep(moment.random() / 50)  # anywhere between two steps, or inside the writing of a checkpoint
        process.kill()
        process.join()
    _, told = start(train_and_tell, broken.request("north"), snapshot)
    heard = last
    while isinstance(heard, int):
        heard = told.recv()
    assert heard == expected
    store = open_store(broken.registry)
    assert list_versions(store) == [expected]
    assert [record.version for record in list_updates(store)] == [expected]
    assert not verify_versions(store)
    assert not list(store.list("checkpoints/"))


def test_two_processes_at_the_same_update_agree(world: "World") -> None:
    snapshot, _ = world.ingest("north")
    versions = []
    pair = [start(train_and_tell, world.request("north"), snapshot) for _ in range(2)]
    for _, told in pair:
        heard = 0
        while isinstance(heard, int):
            heard = told.recv()
        versions.append(heard)
    assert versions[0] == versions[1]
    assert len(list_updates(open_store(world.registry))) == 1
