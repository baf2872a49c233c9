"""A real process, killed with SIGKILL at random moments and started again, ends with the same digests."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders.processes import start_process, train_and_report
from builders.update_steps import make_trigger, run_update_and_report, run_update_steps, run_update_until_first_write

from anamnesis.records import TrainingSettings
from anamnesis.registry import (
    Log,
    list_update_records,
    list_update_results,
    list_versions,
    read_version,
    verify_objects,
)
from anamnesis.storage import open_store

if TYPE_CHECKING:
    from conftest import UpdateRunner

KILLS = 4


def test_killed_at_random_it_ends_as_if_never_killed(make_runner: Callable[[str], "UpdateRunner"]) -> None:
    whole, broken = make_runner("whole"), make_runner("broken")
    for runner in (whole, broken):
        runner.method = "ewc_prototype"
        runner.training = TrainingSettings(epochs=40, batch_size=8)
        runner.root.mkdir()
        runner.write_split_images(train=24, test=8, val=20)  # the version has an operating point
    expected = str(whole.update("north")["train"]["version"])
    snapshot, _ = broken.ingest("north")
    random_source, last = random.Random(0), 0
    for _ in range(KILLS):
        process, connection = start_process(train_and_report, broken.request("north"), snapshot)
        first = connection.recv()
        assert first >= last  # it goes on where the last checkpoint was; at most the step under way is repeated
        last = first
        for _ in range(random_source.randint(0, 2)):
            last = connection.recv()
        time.sleep(random_source.random() / 50)  # anywhere between two steps, or inside the writing of a checkpoint
        process.kill()
        process.join()
    _, connection = start_process(train_and_report, broken.request("north"), snapshot)
    message = last
    while isinstance(message, int):
        message = connection.recv()
    assert message == expected
    store = open_store(broken.registry)
    assert list_versions(store) == [expected]
    assert "operating_points" in read_version(store, expected).parts
    assert [record.version for record in list_update_records(store)] == [expected]
    assert not verify_objects(store)
    assert not list(store.list("checkpoints/"))


@pytest.mark.parametrize("minimum", [0, 99])
def test_killed_between_any_two_writes_an_operators_update_ends_the_same(
    make_runner: Callable[[str], "UpdateRunner"], minimum: int
) -> None:
    whole, broken = make_runner("whole"), make_runner("broken")
    for runner in (whole, broken):
        runner.root.mkdir()
        runner.write_images("north")
        runner.write_images("east", patients=12)
        runner.update("north")
    broken_request = replace(broken.request("east"), trigger=make_trigger(minimum=minimum))
    expected = run_update_steps(replace(whole.request("east"), trigger=make_trigger(minimum=minimum)))
    for _ in range(60):
        process, connection = start_process(run_update_until_first_write, broken_request)
        process.join()
        if process.exitcode == 0:
            break
    assert connection.recv() == expected
    broken_store, whole_store = open_store(broken.registry), open_store(whole.registry)
    assert list_update_results(broken_store) == (expected,)
    assert [info.key for info in broken_store.list() if not info.key.startswith("log/")] == [
        info.key for info in whole_store.list() if not info.key.startswith("log/")
    ]
    assert len(Log(broken_store).entries()) == 1  # of the first site
    assert not verify_objects(broken_store)


def test_two_runs_of_one_trigger_agree(runner: "UpdateRunner") -> None:
    runner.write_images("north")
    request = replace(runner.request("north"), trigger=make_trigger())
    pair = [start_process(run_update_and_report, request) for _ in range(2)]
    first, second = (connection.recv() for _, connection in pair)
    assert first == second
    assert list_update_results(open_store(runner.registry)) == (first,)


def test_two_processes_at_the_same_update_agree(runner: "UpdateRunner") -> None:
    snapshot, _ = runner.ingest("north")
    versions = []
    pair = [start_process(train_and_report, runner.request("north"), snapshot) for _ in range(2)]
    for _, connection in pair:
        message = 0
        while isinstance(message, int):
            message = connection.recv()
        versions.append(message)
    assert versions[0] == versions[1]
    assert len(list_update_records(open_store(runner.registry))) == 1
