"""A real process, killed with SIGKILL at random moments and started again, ends with the same digests."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from toys.processes import start, train_and_tell
from toys.updating import carry_out, carry_out_and_tell, carry_out_until_something_is_written, occasion

from anamnesis.records import TrainingSettings
from anamnesis.registry import Log, list_outcomes, list_updates, list_versions, verify_versions
from anamnesis.storage import open_store

if TYPE_CHECKING:
    from conftest import World

KILLS = 4


def test_killed_at_random_it_ends_as_if_never_killed(make_world: Callable[[str], "World"]) -> None:
    whole, broken = make_world("whole"), make_world("broken")
    for world in (whole, broken):
        world.method = "ewc_prototype"
        world.training = TrainingSettings(epochs=40, batch_size=8)
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


@pytest.mark.parametrize("minimum", [0, 99])
def test_killed_between_any_two_writes_an_operators_update_ends_the_same(
    make_world: Callable[[str], "World"], minimum: int
) -> None:
    whole, broken = make_world("whole"), make_world("broken")
    for world in (whole, broken):
        world.root.mkdir()
        (world.root / "split.key").write_bytes(b"k" * 32)
        world.write("north")
        world.write("east", patients=12)
        world.update("north")
    ends = replace(broken.request("east"), occasion=occasion(minimum=minimum))
    expected = carry_out(replace(whole.request("east"), occasion=occasion(minimum=minimum)))
    for _ in range(60):
        process, told = start(carry_out_until_something_is_written, ends)
        process.join()
        if process.exitcode == 0:
            break
    assert told.recv() == expected
    here, there = open_store(broken.registry), open_store(whole.registry)
    assert list_outcomes(here) == (expected,)
    assert [info.key for info in here.list() if not info.key.startswith("log/")] == [
        info.key for info in there.list() if not info.key.startswith("log/")
    ]
    assert len(Log(here).entries()) == 1  # of the first site
    assert not verify_versions(here)


def test_two_runs_of_one_occasion_agree(world: "World") -> None:
    world.write("north")
    request = replace(world.request("north"), occasion=occasion())
    pair = [start(carry_out_and_tell, request) for _ in range(2)]
    first, second = (told.recv() for _, told in pair)
    assert first == second
    assert list_outcomes(open_store(world.registry)) == (first,)


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
