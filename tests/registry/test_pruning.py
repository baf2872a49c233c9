import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anamnesis.records import Cost, UpdateRecord, hex_of
from anamnesis.registry import prunable, prune, read_part, read_version, record_update
from anamnesis.storage import Store, open_store

HOUR = timedelta(hours=1)


def later() -> datetime:
    return datetime.now(UTC) + 48 * HOUR


def test_what_nothing_needs_may_go_and_the_rest_stays(store: Store, build) -> None:
    digest = build.stored(store)
    finished, running = build.digest("finished"), build.digest("running")
    record_update(store, UpdateRecord(finished, digest, {}, Cost(1.0, 1, 1), ()))
    for given in (finished, running):
        store.put(f"checkpoints/{hex_of(given)}/manifest.json", b"{}")
    orphan = f"blobs/{hex_of(build.digest('orphan'))}"
    store.put(orphan, b"orphan")
    everything = [info.key for info in store.list()]

    found = prunable(store, clock=later)
    assert {info.key for info in found} == {f"checkpoints/{hex_of(finished)}/manifest.json", orphan}
    assert [info.key for info in store.list()] == everything  # a dry run
    assert prune(store, found, clock=later) == found
    assert {info.key for info in store.list()} == set(everything) - {info.key for info in found}
    assert read_part(store, read_version(store, digest), "method") == b"a method"
    assert prunable(store, clock=later) == ()


def test_a_young_blob_may_belong_to_a_version_that_is_being_written(store: Store, build) -> None:
    store.put(f"blobs/{hex_of(build.digest('a method'))}", b"a method")
    assert prunable(store) == ()
    found = prunable(store, clock=later)
    assert len(found) == 1
    build.stored(store)  # between the dry run and the deletion, somebody names it
    assert prune(store, found, clock=later) == ()


def test_leftovers_of_killed_writers_go_when_they_are_old(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "log").mkdir()
    old, new = tmp_path / "log" / ".tmp-old", tmp_path / "log" / ".tmp-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    found = prunable(store)
    assert [info.key for info in found] == ["log/.tmp-old"]
    prune(store, found)
    assert list(tmp_path.rglob("*")) == [tmp_path / "log", new]
